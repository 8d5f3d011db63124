#include "cpu/format_choice.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace descent {

namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

// A value flowing from one unit (none: a port, in the format of `desc`) into input `slot` of another.
struct Edge {
  std::size_t from = none;
  std::size_t to = none;
  std::size_t slot = 0;
  TensorDesc desc;
  bool gradient = false;
  bool alone = false;  // nobody else reads the value
};

class Chooser {
 public:
  Chooser(std::span<const KernelRequest> requests, std::span<const std::vector<UnitCandidate>> candidates,
          const ReorderCost& reorder)
      : candidates_(candidates), reorder_(reorder), touching_(requests.size()), chosen_(requests.size(), 0) {
    find_edges(requests);
    find_chains();
  }

  // From each start that puts one format wherever it can go: where branches meet, one start alone may end in
  // an assignment that no single chain can leave.
  std::vector<std::size_t> choose() {
    std::vector<std::size_t> best;
    double best_cost = std::numeric_limits<double>::infinity();
    for (const Format format : formats_on_offer()) {
      start_from(format);
      const double cost = descend();
      if (cost < best_cost) {
        best_cost = cost;
        best = chosen_;
      }
    }
    return best;
  }

 private:
  [[nodiscard]] std::set<Format> formats_on_offer() const {
    std::set<Format> formats;
    for (const auto& of_unit : candidates_) {
      for (const UnitCandidate& candidate : of_unit) formats.insert(candidate.output);
    }
    return formats;
  }

  void start_from(Format format) {
    for (std::size_t unit = 0; unit < chosen_.size(); ++unit) {
      const auto& of_unit = candidates_[unit];
      const auto found = std::find_if(of_unit.begin(), of_unit.end(), [&](const UnitCandidate& candidate) {
        return candidate.output == format && candidate.inputs.front() == format;
      });
      chosen_[unit] = found == of_unit.end() ? 0 : static_cast<std::size_t>(found - of_unit.begin());
    }
  }

  // Improves chain by chain until a sweep gains nothing; returns the cost.
  double descend() {
    constexpr int most_sweeps = 10;
    double cost = total();
    for (int sweep = 0; sweep < most_sweeps; ++sweep) {
      for (const auto& chain : chains_) improve(chain);
      const double improved = total();
      if (improved >= cost) break;
      cost = improved;
    }
    return cost;
  }

  void find_edges(std::span<const KernelRequest> requests) {
    std::vector<std::size_t> producer;  // unit of each value
    for (std::size_t unit = 0; unit < requests.size(); ++unit) {
      const ValueId output = requests[unit].unit.output;
      producer.resize(std::max(producer.size(), output + 1), none);
      producer[output] = unit;
    }
    for (std::size_t unit = 0; unit < requests.size(); ++unit) {
      const KernelRequest& request = requests[unit];
      for (std::size_t slot = 0; slot < request.inputs.size(); ++slot) {
        const ValueId value = request.unit.inputs[slot];
        const std::size_t from = value < producer.size() ? producer[value] : none;
        const std::size_t edge = edges_.size();
        edges_.push_back({from, unit, slot, request.inputs[slot], request.input_gradients[slot],
                          slot == 0 && request.is_sole_reader(slot)});
        touching_[unit].push_back(edge);
        if (from != none) touching_[from].push_back(edge);
      }
    }
  }

  // Each unit continues the chain of the producer of its first input, if nobody has before.
  void find_chains() {
    std::vector<std::size_t> chain_ending_in(touching_.size(), none);
    for (std::size_t unit = 0; unit < touching_.size(); ++unit) {
      std::size_t chain = none;
      for (const std::size_t edge : touching_[unit]) {
        const std::size_t from = edges_[edge].to == unit ? edges_[edge].from : none;
        if (from != none && chain_ending_in[from] != none) {
          chain = std::exchange(chain_ending_in[from], none);
          break;
        }
      }
      if (chain == none) {
        chain = chains_.size();
        chains_.emplace_back();
      }
      chains_[chain].push_back(unit);
      chain_ending_in[unit] = chain;
    }
  }

  [[nodiscard]] double cost(const Edge& edge, std::size_t from_candidate, std::size_t to_candidate) const {
    const UnitCandidate& to = candidates_[edge.to][to_candidate];
    if (edge.from == none) return reorder_(edge.desc, to.inputs[edge.slot], edge.gradient);
    const UnitCandidate& from = candidates_[edge.from][from_candidate];
    if (edge.alone && to.takes_over && from.output == to.inputs[edge.slot]) return -from.spares;
    return reorder_(edge.desc.in(from.output), to.inputs[edge.slot], edge.gradient);
  }

  [[nodiscard]] double total() const {
    double sum = 0;
    for (std::size_t unit = 0; unit < chosen_.size(); ++unit) sum += candidates_[unit][chosen_[unit]].seconds;
    for (const Edge& edge : edges_) {
      sum += cost(edge, edge.from == none ? 0 : chosen_[edge.from], chosen_[edge.to]);
    }
    return sum;
  }

  // Cost of a unit's candidate with all edges but those to `previous` and `next`, whose choice is open.
  [[nodiscard]] double standing(std::size_t unit, std::size_t candidate, std::size_t previous,
                                std::size_t next) const {
    double sum = candidates_[unit][candidate].seconds;
    for (const std::size_t index : touching_[unit]) {
      const Edge& edge = edges_[index];
      const std::size_t other = edge.to == unit ? edge.from : edge.to;
      if (other != none && (other == previous || other == next)) continue;
      sum += edge.to == unit ? cost(edge, other == none ? 0 : chosen_[other], candidate)
                             : cost(edge, candidate, chosen_[other]);
    }
    return sum;
  }

  [[nodiscard]] double between(std::size_t from, std::size_t from_candidate, std::size_t to,
                               std::size_t to_candidate) const {
    double sum = 0;
    for (const std::size_t index : touching_[to]) {
      const Edge& edge = edges_[index];
      if (edge.to == to && edge.from == from) sum += cost(edge, from_candidate, to_candidate);
    }
    return sum;
  }

  // Viterbi along one chain, everything else as it stands.
  void improve(const std::vector<std::size_t>& chain) {
    std::vector<std::vector<double>> best(chain.size());
    std::vector<std::vector<std::size_t>> came_from(chain.size());
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const std::size_t unit = chain[i];
      const std::size_t previous = i == 0 ? none : chain[i - 1];
      const std::size_t next = i + 1 == chain.size() ? none : chain[i + 1];
      best[i].resize(candidates_[unit].size());
      came_from[i].resize(candidates_[unit].size(), 0);
      for (std::size_t candidate = 0; candidate < best[i].size(); ++candidate) {
        double arrive = 0;
        if (i > 0) {
          arrive = std::numeric_limits<double>::infinity();
          for (std::size_t before = 0; before < best[i - 1].size(); ++before) {
            const double through = best[i - 1][before] + between(previous, before, unit, candidate);
            if (through < arrive) {
              arrive = through;
              came_from[i][candidate] = before;
            }
          }
        }
        best[i][candidate] = arrive + standing(unit, candidate, previous, next);
      }
    }
    auto last = std::min_element(best.back().begin(), best.back().end());
    auto candidate = static_cast<std::size_t>(last - best.back().begin());
    for (std::size_t i = chain.size(); i-- > 0;) {
      chosen_[chain[i]] = candidate;
      candidate = came_from[i][candidate];
    }
  }

  std::span<const std::vector<UnitCandidate>> candidates_;
  const ReorderCost& reorder_;
  std::vector<Edge> edges_;
  std::vector<std::vector<std::size_t>> touching_;  // edges of each unit
  std::vector<std::vector<std::size_t>> chains_;
  std::vector<std::size_t> chosen_;
};

}  // namespace

std::vector<std::size_t> choose_formats(std::span<const KernelRequest> requests,
                                        std::span<const std::vector<UnitCandidate>> candidates,
                                        const ReorderCost& reorder) {
  if (requests.empty()) return {};
  return Chooser(requests, candidates, reorder).choose();
}

}  // namespace descent

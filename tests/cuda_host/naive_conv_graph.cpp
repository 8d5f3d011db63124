// In place of cuDNN's graphs (src/cuda/library/conv_graph.cpp): naive loops, so that what stands around them
// (orders of weights, folding, memory, normalisation behind them) is tested without cuDNN.
#include "cuda/launch.h"
#include "cuda/library/conv_graph.h"
#include "descent/error.h"
#include "library_double.h"
#include "plan/element.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace descent {

namespace {

struct Place {
  const ConvGraph::Problem* problem;
  const ConvGraph::Operands* operands;
};

template <class Element>
class Loops {
 public:
  explicit Loops(const Place& place)
      : problem_(*place.problem),
        at_(*place.operands),
        in_(problem_.source[1] / problem_.op.groups),
        out_(problem_.op.out / problem_.op.groups) {}

  // f(source element, weight element, destination element) for every product.
  template <class Function>
  void each(const Function& f) const {
    const Conv& op = problem_.op;
    const Shape& x = problem_.source;
    const Shape& y = problem_.destination;
    for (std::int64_t n = 0; n < y[0]; ++n)
      for (std::int64_t o = 0; o < y[1]; ++o)
        for (std::int64_t h = 0; h < y[2]; ++h)
          for (std::int64_t w = 0; w < y[3]; ++w)
            for (std::int64_t kh = 0; kh < op.kernel.height; ++kh)
              for (std::int64_t kw = 0; kw < op.kernel.width; ++kw)
                for (std::int64_t i = 0; i < in_; ++i) {
                  const std::int64_t row = h * op.stride.height - op.padding.height + kh * op.dilation.height;
                  const std::int64_t column = w * op.stride.width - op.padding.width + kw * op.dilation.width;
                  if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
                  f(((n * x[2] + row) * x[3] + column) * x[1] + o / out_ * in_ + i,
                    ((o * op.kernel.height + kh) * op.kernel.width + kw) * in_ + i,
                    ((n * y[2] + h) * y[3] + w) * y[1] + o);
                }
  }

  void forward() const {
    std::vector<double> sums(static_cast<std::size_t>(problem_.destination.elements()));
    each([&](std::int64_t x, std::int64_t w, std::int64_t y) {
      sums[static_cast<std::size_t>(y)] += read(at_.source, x) * read(at_.weights, w);
    });
    for (std::size_t i = 0; i < sums.size(); ++i) {
      auto value = static_cast<float>(sums[i]);
      const auto channel = static_cast<std::int64_t>(i) % problem_.destination[1];
      if (problem_.bias) value += static_cast<const float*>(at_.bias)[channel];
      if (problem_.add) value += to_f32(static_cast<const Element*>(at_.add)[i]);
      if (problem_.leak && !(value > 0)) value *= *problem_.leak;
      static_cast<Element*>(at_.destination)[i] = to_element<Element>(value);
    }
  }

  void backward_data() const {
    std::vector<double> sums(static_cast<std::size_t>(problem_.source.elements()));
    each([&](std::int64_t x, std::int64_t w, std::int64_t y) {
      sums[static_cast<std::size_t>(x)] += read(at_.destination, y) * read(at_.weights, w);
    });
    for (std::size_t i = 0; i < sums.size(); ++i)
      static_cast<Element*>(at_.source)[i] = to_element<Element>(static_cast<float>(sums[i]));
  }

  void backward_weights() const {
    const std::int64_t count = problem_.op.out * problem_.op.kernel.height * problem_.op.kernel.width * in_;
    std::vector<double> sums(static_cast<std::size_t>(count));
    each([&](std::int64_t x, std::int64_t w, std::int64_t y) {
      sums[static_cast<std::size_t>(w)] += read(at_.source, x) * read(at_.destination, y);
    });
    with_element(problem_.weight_gradient, [&]<class Gradient>(Gradient /*type*/) {
      for (std::size_t i = 0; i < sums.size(); ++i)
        static_cast<Gradient*>(at_.weights)[i] = to_element<Gradient>(static_cast<float>(sums[i]));
    });
  }

 private:
  [[nodiscard]] static double read(const void* from, std::int64_t i) {
    return static_cast<double>(to_f32(static_cast<const Element*>(from)[i]));
  }

  const ConvGraph::Problem& problem_;
  const ConvGraph::Operands& at_;
  std::int64_t in_;
  std::int64_t out_;
};

__global__ void run_naively(Place place, Direction direction) {
  with_element(place.problem->type, [&]<class Element>(Element /*type*/) {
    const Loops<Element> loops(place);
    if (direction == Direction::forward) loops.forward();
    if (direction == Direction::backward_data) loops.backward_data();
    if (direction == Direction::backward_weights) loops.backward_weights();
  });
}

}  // namespace

struct ConvGraph::Parts {
  CudaContext context;
  Direction direction;
  Problem problem;
  Operands operands;
  std::string engine;
};

ConvGraph::ConvGraph(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ConvGraph::ConvGraph(ConvGraph&& other) noexcept = default;
ConvGraph& ConvGraph::operator=(ConvGraph&& other) noexcept = default;
ConvGraph::~ConvGraph() = default;

// What it refuses is up to the test.
std::optional<ConvGraph> ConvGraph::make(const LibraryHandles& handles, const CudaContext& context,
                                         Direction direction, const Problem& problem,
                                         const std::string& engine) {
  const bool ends = problem.bias || problem.add || problem.leak;
  if (ends && !handles.has_endings) return std::nullopt;
  const bool rounds = problem.weight_gradient == problem.type;
  if (direction == Direction::backward_weights && !rounds && handles.rounds_gradients) return std::nullopt;
  const std::string& taken = engine.empty() ? handles.engines.front() : engine;
  if (std::ranges::find(handles.engines, taken) == handles.engines.end()) return std::nullopt;
  return ConvGraph(std::make_unique<Parts>(Parts{context, direction, problem, {}, taken}));
}

std::vector<ConvGraph> ConvGraph::all(const LibraryHandles& handles, const CudaContext& context,
                                      Direction direction, const Problem& problem, std::size_t most) {
  ++handles.lists;
  std::vector<ConvGraph> found;
  for (const std::string& engine : handles.engines) {
    auto graph = make(handles, context, direction, problem, engine);
    if (graph && found.size() < most) found.push_back(std::move(*graph));
  }
  return found;
}

std::size_t ConvGraph::workspace_bytes() const {
  return 40;
}

const std::string& ConvGraph::engine() const {
  return parts_->engine;
}

void ConvGraph::bind(const Operands& operands, void* /*workspace*/) {
  parts_->operands = operands;
}

void ConvGraph::run(const LibraryHandles& handles) {
  ++handles.runs;
  if (parts_->engine == "broken") throw Error("cudnnBackendExecute failed: broken", Fault::failure);
  CudaContext context = parts_->context;
  if (handles.stream != nullptr) context.stream = handles.stream;
  launch(context, "naive convolution", {dim3(1), dim3(1), 0}, run_naively,
         Place{&parts_->problem, &parts_->operands}, parts_->direction);
}

}  // namespace descent

// One direction of a convolution as a graph of cuDNN's, channels last, compiled for one shape. cudnn_frontend's
// headers take most of a minute to compile, so they are seen by conv_graph.cpp alone.
#pragma once

#include "cuda/context.h"
#include "descent/ops.h"
#include "descent/tensor.h"
#include "plan/measured_names.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace descent {

class LibraryHandles;

class ConvGraph {
 public:
  struct Problem {
    Conv op;
    Shape source;             // N×C×H×W
    Shape destination;        // N×O×H×W
    DType type = DType::f32;  // of source, destination, their gradients and the weights
    DType weight_gradient = DType::f32;
    int zero_channels = 0;  // of the source's channels the last ones, which are zeros and have no weights
    // Forward alone: what follows the product within the same pass.
    bool bias = false;            // f32, one a channel
    bool add = false;             // a tensor like the destination
    std::optional<float> leak{};  // x where x > 0, else leak·x
  };

  // Where they are in device memory. Weights O×H×W×I; `source` and `destination` are gradients in the
  // directions that write or read those.
  struct Operands {
    void* source = nullptr;
    void* destination = nullptr;
    void* weights = nullptr;
    void* bias = nullptr;
    void* add = nullptr;
  };

  // By the engine of this name; without a name by the first of cuDNN's heuristics that can be built. Nothing if
  // there is none that is deterministic and, unless context.tf32, multiplies f32 as f32.
  [[nodiscard]] static std::optional<ConvGraph> make(const LibraryHandles& handles, const CudaContext& context,
                                                     Direction direction, const Problem& problem,
                                                     const std::string& engine = {});
  // By each of at most so many engines, for timing them: the heuristics' first is the first. They share memory,
  // which the last one that is kept keeps for all.
  [[nodiscard]] static std::vector<ConvGraph> all(const LibraryHandles& handles, const CudaContext& context,
                                                  Direction direction, const Problem& problem,
                                                  std::size_t most);

  ConvGraph(ConvGraph&& other) noexcept;
  ConvGraph& operator=(ConvGraph&& other) noexcept;
  ConvGraph(const ConvGraph&) = delete;
  ConvGraph& operator=(const ConvGraph&) = delete;
  ~ConvGraph();

  [[nodiscard]] std::size_t workspace_bytes() const;
  [[nodiscard]] const std::string& engine() const;  // as cuDNN names it

  void bind(const Operands& operands, void* workspace);
  void run(const LibraryHandles& handles);

 private:
  struct Parts;
  explicit ConvGraph(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace descent

// Which engine of cuDNN's computes a direction of a convolution: the fastest one, where kernels may be timed;
// else the first of cuDNN's heuristics, which for gradients of weights may be twenty times slower than another.
#pragma once

#include "cuda/library/conv_graph.h"
#include "cuda/library_steps.h"
#include "cuda/tuner.h"
#include "plan/measured_names.h"

#include <functional>
#include <optional>
#include <string>

namespace descent {

class LibraryHandles;

// What convolutions through cuDNN are made with.
struct ConvTools {
  const CudaContext& context;
  const LibraryHandles& handles;
  const LibraryHandles& side_handles;  // for what runs beside
  CudaTuner& tuner;
  TimedBatch timed_batch;
  bool own_kernels = true;  // descent's own may take a part where they are faster
};

// The problem's weights, as parameters and as cuDNN wants them.
[[nodiscard]] WeightOrder order_of(const ConvGraph::Problem& problem);

struct TimedEngine {
  std::string engine;
  double seconds = 0;
};

// What follows a graph each time, and is timed with it; `weights` is where the graph reads or writes them.
using AfterGraph = std::function<std::function<void()>(TrialMemory& memory, void* weights)>;

// For a tuner that measures. Nothing if cuDNN has no engine; never(), and no name, if none could be timed.
[[nodiscard]] std::optional<TimedEngine> fastest_engine(const ConvTools& tools, Direction direction,
                                                        const ConvGraph::Problem& problem,
                                                        const AfterGraph& after = {});

// Of this name, or the heuristics' first if that cannot be built.
[[nodiscard]] std::optional<ConvGraph> make_graph(const ConvTools& tools, Direction direction,
                                                  const ConvGraph::Problem& problem, const std::string& engine);

// Nothing if cuDNN has no engine.
[[nodiscard]] std::optional<ConvGraph> choose_graph(const ConvTools& tools, Direction direction,
                                                    const ConvGraph::Problem& problem);

// What the times of a direction's engines are filed under.
[[nodiscard]] std::string graph_name(const ConvTools& tools, Direction direction,
                                     const ConvGraph::Problem& problem);
// `after` behind that name: what says as much, if it is recorded. Its engine need not exist for these shapes:
// then make_graph() takes another.
[[nodiscard]] CudaTuner::Likeness graph_like(const ConvTools& tools, Direction direction,
                                             const ConvGraph::Problem& problem, const std::string& after = {});

}  // namespace descent

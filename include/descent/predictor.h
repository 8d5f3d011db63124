// Pictures to class probabilities, for programs that embed descent.
//
//   auto device = descent::make_device("cpu", {});
//   const descent::Model model = descent::load_model("runs/fashion-mnist-convnet-adam");
//   descent::Predictor predictor(*device, model, 1);
//   const descent::Prediction answer = predictor.predict(descent::read_picture("shirt.png"));
#pragma once

#include "descent/device.h"
#include "descent/picture.h"
#include "descent/weights.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace descent {

struct Prediction {
  std::size_t index = 0;  // of the most probable class; the first on ties
  std::string label;      // its name, or its index as text
  std::vector<float> logits;
  std::vector<float> probabilities;  // softmax of the logits
};

// Weights on a device, prepared once for a batch size. A Predictor serves one thread; several may
// share the device and the model.
class Predictor {
 public:
  // `precision`: of activations.
  Predictor(Device& device, const Model& model, std::int64_t batch_size, DType precision = DType::f32);
  ~Predictor();
  Predictor(Predictor&&) noexcept;
  Predictor& operator=(Predictor&&) noexcept;

  [[nodiscard]] Prediction predict(const Picture& picture, const PictureRule& rule = {});

  // `inputs` holds `count` pictures as planar bytes of the network's input shape (to_input), any count.
  [[nodiscard]] std::vector<Prediction> predict(std::span<const std::uint8_t> inputs, std::size_t count);

  // The same in numbers alone: `count` rows, a class each. Allocates nothing of its own and takes no lock.
  void predict(std::span<const std::uint8_t> inputs, std::size_t count, std::span<float> probabilities);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace descent

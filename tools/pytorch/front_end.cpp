// The seed network's training in PyTorch's C++ front end (libtorch), for tools/compare_pytorch --front-end:
// what tools/pytorch/training.py does, without Python. Not part of descent.
//
//   front_end PICTURES LABELS --optimizer sgd --precision f32 --layout channels-last --batch 1024 --threads 2
//   --epochs 3
//
// PICTURES holds normalised floats N×1×28×28, LABELS N bytes. A line of standard output an epoch: seconds, loss
// and accuracy. Its optimizers are loops over the parameters: the front end has no fused ones.

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;
using Parameters = std::vector<torch::Tensor>;

constexpr std::int64_t side = 28;

struct GeneralReluImpl : nn::Module {
  torch::Tensor forward(const torch::Tensor& x) { return torch::leaky_relu(x, 0.1).sub_(0.4); }
};
TORCH_MODULE(GeneralRelu);

nn::Conv2d convolution(std::int64_t inputs, std::int64_t outputs) {
  return nn::Conv2d{nn::Conv2dOptions{inputs, outputs, 3}.stride(2).padding(1)};
}

nn::Sequential convnet() {
  nn::Sequential network;
  const std::vector<std::int64_t> widths{1, 8, 16, 32, 64};
  for (std::size_t i = 1; i < widths.size(); ++i) {
    network->push_back(convolution(widths[i - 1], widths[i]));
    network->push_back(nn::BatchNorm2d{widths[i]});
    network->push_back(GeneralRelu{});
  }
  network->push_back(convolution(64, 10));
  network->push_back(nn::Flatten{});
  return network;
}

// The settings of OPTIMIZERS in training.py.
std::unique_ptr<optim::Optimizer> optimizer(const std::string& name, Parameters parameters) {
  const auto sgd = [&](double rate, double momentum, double dampening, bool nesterov) {
    return std::make_unique<optim::SGD>(
        parameters, optim::SGDOptions{rate}.momentum(momentum).dampening(dampening).nesterov(nesterov));
  };
  if (name == "sgd") return sgd(0.4, 0, 0, false);
  if (name == "momentum") return sgd(1.5, 0.9, 0.1, false);
  if (name == "heavy-ball") return sgd(0.15, 0.9, 0, false);
  if (name == "nesterov") return sgd(0.15, 0.9, 0, true);
  if (name == "rmsprop")
    return std::make_unique<optim::RMSprop>(parameters, optim::RMSpropOptions{3e-3}.alpha(0.99).eps(1e-5));
  if (name == "adam")
    return std::make_unique<optim::Adam>(parameters, optim::AdamOptions{6e-3}.betas({0.9, 0.99}).eps(1e-5));
  if (name == "adamw")
    return std::make_unique<optim::AdamW>(parameters, optim::AdamWOptions{0.02}.weight_decay(0.01));
  throw std::runtime_error{"unknown optimizer " + name};
}

std::vector<char> bytes(const char* path) {
  std::ifstream stream{path, std::ios::binary};
  if (!stream) throw std::runtime_error{std::string{"cannot open "} + path};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

struct Data {
  torch::Tensor pictures, labels;
};

Data read(const char* pictures_path, const char* labels_path, torch::MemoryFormat format) {
  std::vector<char> pictures = bytes(pictures_path), labels = bytes(labels_path);
  const auto count = static_cast<std::int64_t>(labels.size());
  if (pictures.size() != labels.size() * side * side * sizeof(float))
    throw std::runtime_error{"as many pictures as labels are needed"};
  return {torch::from_blob(pictures.data(), {count, 1, side, side}).clone(format),
          torch::from_blob(labels.data(), {count}, torch::kUInt8).to(torch::kInt64)};
}

class Training {
 public:
  Training(Data data, const std::string& optimizer_name, bool short_floats, torch::MemoryFormat format)
      : data_{std::move(data)}, short_floats_{short_floats} {
    for (torch::Tensor& parameter : network_->parameters())
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(format));
    optimizer_ = optimizer(optimizer_name, network_->parameters());
  }

  // All pictures once, shuffled; prints seconds, mean loss and accuracy.
  void epoch(std::int64_t batch) {
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t count = data_.labels.size(0);
    torch::Tensor loss_sum = torch::zeros({}, torch::kFloat64), correct = torch::zeros({}, torch::kInt64);
    const torch::Tensor order = torch::randperm(count);
    for (std::int64_t first = 0; first < count; first += batch) {
      const torch::Tensor indices = order.slice(0, first, std::min(first + batch, count));
      const torch::Tensor y = data_.labels.index_select(0, indices);
      const torch::Tensor logits = forward(data_.pictures.index_select(0, indices)).to(torch::kFloat32);
      const torch::Tensor loss = torch::cross_entropy_loss(logits, y);
      loss.backward();
      optimizer_->step();
      optimizer_->zero_grad(true);
      const torch::NoGradGuard guard;
      loss_sum += loss.detach().to(torch::kFloat64) * y.size(0);
      correct += (logits.detach().argmax(1) == y).sum();
    }
    const auto total = static_cast<double>(count);
    const double loss = loss_sum.item<double>() / total,
                 accuracy = static_cast<double>(correct.item<std::int64_t>()) / total;
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    std::printf("%.6f %.4f %.4f\n", taken.count(), loss, accuracy);
  }

 private:
  torch::Tensor forward(const torch::Tensor& x) {
    at::autocast::set_autocast_enabled(at::kCPU, short_floats_);
    at::autocast::set_autocast_dtype(at::kCPU, torch::kBFloat16);
    torch::Tensor logits = network_->forward(x);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    return logits;
  }

  Data data_;
  bool short_floats_;
  nn::Sequential network_ = convnet();
  std::unique_ptr<optim::Optimizer> optimizer_;
};

void train(int count, char** words) {
  if (count < 3) throw std::runtime_error{"usage: front_end PICTURES LABELS [--NAME VALUE]…"};
  std::map<std::string, std::string> options{
      {"--optimizer", "sgd"}, {"--precision", "f32"}, {"--layout", "channels-last"},
      {"--batch", "1024"},    {"--threads", "1"},     {"--epochs", "1"}};
  for (int i = 3; i + 1 < count; i += 2) options.at(words[i]) = words[i + 1];
  torch::manual_seed(42);
  torch::set_num_threads(std::stoi(options["--threads"]));
  const auto format =
      options["--layout"] == "contiguous" ? torch::MemoryFormat::Contiguous : torch::MemoryFormat::ChannelsLast;
  Training training{read(words[1], words[2], format), options["--optimizer"], options["--precision"] == "bf16",
                    format};
  for (int epoch = 0; epoch < std::stoi(options["--epochs"]); ++epoch)
    training.epoch(std::stoll(options["--batch"]));
}

}  // namespace

int main(int count, char** words) {
  try {
    train(count, words);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

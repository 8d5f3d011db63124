// A program that embeds descent: loads a model and says what is in a picture.
#include <descent/device.h>
#include <descent/error.h>
#include <descent/picture.h>
#include <descent/predictor.h>
#include <descent/weights.h>

#include <iostream>

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: consumer MODEL PICTURE\n";
    return 2;
  }
  try {
    const auto device = descent::make_device("cpu", {});
    const descent::Model model = descent::load_model(arguments[1]);
    descent::Predictor predictor(*device, model, 1);
    const descent::Prediction answer = predictor.predict(descent::read_picture(arguments[2]));
    std::cout << answer.label << ' ' << answer.probabilities.at(answer.index) << '\n';
    return 0;
  } catch (const descent::Error& error) {
    std::cerr << "consumer: " << error.what() << '\n';
    return 2;
  }
}

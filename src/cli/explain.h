// --explain: how a device computes a network.
#pragma once

#include "descent/data.h"
#include "descent/train.h"

namespace descent::cli {

// Prepares the plans of training and validation, times every operation, and prints both tables.
void explain(const Network& network, ParameterStore& store, const DataSet& data, const TrainSettings& settings);

}  // namespace descent::cli

#include "descent/error.h"
#include "network/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

namespace descent {

namespace {

// A number that a file may write with or without a point.
std::optional<double> number(const Scalar& scalar) {
  if (const auto* whole = std::get_if<std::int64_t>(&scalar)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&scalar)) return *real;
  return std::nullopt;
}

[[noreturn]] void wrong(std::string_view key, std::string_view wanted) {
  throw Error(fmt::format("'{}' must be {}", key, wanted));
}

// One overload for each type that a field of an operation can have.
void assign(std::string_view key, const Value& value, std::int64_t& field) {
  const auto* scalar = std::get_if<Scalar>(&value);
  const auto* whole = scalar == nullptr ? nullptr : std::get_if<std::int64_t>(scalar);
  if (whole == nullptr) wrong(key, "a whole number");
  field = *whole;
}

void assign(std::string_view key, const Value& value, Extent& field) {
  std::vector<Scalar> sizes;
  if (const auto* scalar = std::get_if<Scalar>(&value)) {
    sizes = {*scalar, *scalar};
  } else {
    sizes = std::get<std::vector<Scalar>>(value);
  }
  if (sizes.size() != 2 || !std::holds_alternative<std::int64_t>(sizes[0]) ||
      !std::holds_alternative<std::int64_t>(sizes[1])) {
    wrong(key, "a whole number or [height, width]");
  }
  field = {std::get<std::int64_t>(sizes[0]), std::get<std::int64_t>(sizes[1])};
}

void assign(std::string_view key, const Value& value, double& field) {
  const auto* scalar = std::get_if<Scalar>(&value);
  const std::optional<double> real = scalar == nullptr ? std::nullopt : number(*scalar);
  if (!real || !std::isfinite(*real)) wrong(key, "a finite number");
  field = *real;
}

void assign(std::string_view key, const Value& value, std::optional<double>& field) {
  double real = 0;
  assign(key, value, real);
  field = real;
}

void assign(std::string_view key, const Value& value, bool& field) {
  const auto* scalar = std::get_if<Scalar>(&value);
  const auto* truth = scalar == nullptr ? nullptr : std::get_if<bool>(scalar);
  if (truth == nullptr) wrong(key, "true or false");
  field = *truth;
}

// Only sizes can be required.
template <class Field>
bool is_missing(const Field& field) {
  if constexpr (std::is_same_v<Field, std::int64_t>) return field == required;
  if constexpr (std::is_same_v<Field, Extent>) return field.height == required;
  return false;
}

template <class Operation>
Op read_fields(const Settings& settings) {
  Operation op;
  std::vector<std::string> known;
  Operation::fields(op, [&](std::string_view key, auto& field) {
    known.emplace_back(key);
    const auto found = settings.find(key);
    if (found != settings.end()) {
      assign(key, found->second, field);
    } else if (is_missing(field)) {
      throw Error(fmt::format("{} needs '{}'", Operation::name, key));
    }
  });
  known.insert(known.end(), {"name", "op", "from"});
  for (const auto& [key, value] : settings) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error(fmt::format("{} has an {}", Operation::name, unknown("key", key, known)));
    }
  }
  return op;
}

struct Row {
  std::string_view name;
  Op (*read)(const Settings&);
};

// Every operation that a file may name. The loss is not among them: training adds it.
template <std::size_t... index>
std::vector<Row> rows(std::index_sequence<index...> /*all*/) {
  std::vector<Row> table;
  const auto append = [&table]<class Operation>(std::type_identity<Operation> /*tag*/) {
    if constexpr (!std::is_same_v<Operation, SoftmaxCrossEntropy>) {
      table.push_back({Operation::name, read_fields<Operation>});
    }
  };
  (append(std::type_identity<std::variant_alternative_t<index, Op>>{}), ...);
  return table;
}

}  // namespace

Op read_op(std::string_view name, const Settings& settings) {
  static const std::vector<Row> table = rows(std::make_index_sequence<std::variant_size_v<Op>>{});
  std::vector<std::string> known;
  for (const Row& row : table) {
    if (row.name == name) return row.read(settings);
    known.emplace_back(row.name);
  }
  throw Error(unknown("op", name, known));
}

}  // namespace descent

# Writes OUTPUT, a C++ file that holds the text of every network file in INPUTS.
set(entries "")
foreach(file ${INPUTS})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "    BuiltinNetwork{\"${name}\", R\"network(${text})network\"},\n")
endforeach()
list(LENGTH INPUTS count)
file(
  WRITE ${OUTPUT}
  "#include \"descent/network.h\"\n\n#include <array>\n\nnamespace descent {\n\nnamespace {\n"
  "constexpr std::array<BuiltinNetwork, ${count}> networks{\n${entries}};\n}  // namespace\n\n"
  "std::span<const BuiltinNetwork> builtin_networks() { return networks; }\n\n}  // namespace descent\n")

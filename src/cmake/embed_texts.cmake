# Writes OUTPUT, a C++ file with a function for every text of TEXTS ("function=file"), declared in HEADER
# within NAMESPACE.
set(functions "")
foreach(text ${TEXTS})
  string(REPLACE "=" ";" parts ${text})
  list(GET parts 0 function)
  list(GET parts 1 file)
  file(READ ${file} content)
  string(APPEND functions "std::string_view ${function}() {\n  return R\"embedded(${content})embedded\";\n}\n\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n\n${functions}}  // namespace ${NAMESPACE}\n")

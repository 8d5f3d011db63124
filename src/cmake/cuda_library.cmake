# libdescent_cuda.so: the CUDA device with all that it needs of descent, beside the program. It exports one function
# (src/plan/cuda_library.h), and the program loads it when --device cuda asks for it.
file(GLOB DESCENT_CUDA_SOURCES CONFIGURE_DEPENDS src/cuda/*.cpp src/cuda/*.cu src/cuda/library/*.cpp)
add_library(descent_cuda MODULE ${DESCENT_CUDA_SOURCES})
target_include_directories(descent_cuda PRIVATE src)
target_compile_definitions(descent_cuda PRIVATE DESCENT_VERSION="${PROJECT_VERSION}")
target_link_libraries(descent_cuda PRIVATE descent_engine CudaStack::runtime CudaStack::cublas_lt CudaStack::cudnn)
# descent_options' warnings, as far as nvcc's generated code allows.
target_compile_options(
  descent_cuda
  PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wsign-conversion>"
          "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;--extended-lambda;-Xcompiler=-Wall,-Wextra,-Wno-parentheses>"
          "$<$<AND:$<BOOL:${DESCENT_WARNINGS_AS_ERRORS}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>"
          "$<$<AND:$<BOOL:${DESCENT_WARNINGS_AS_ERRORS}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings>")
target_link_options(descent_cuda PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/cmake/cuda_library.map
                    -Wl,--no-undefined)
set_target_properties(
  descent_cuda
  PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
             BUILD_RPATH "${CudaStack_LIBRARY_FOLDERS}"
             INSTALL_RPATH "$ORIGIN;${CudaStack_LIBRARY_FOLDERS}"
             LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/cmake/cuda_library.map)
install(TARGETS descent_cuda LIBRARY DESTINATION lib)
if(TARGET descent_cli)
  add_dependencies(descent_cli descent_cuda)
endif()

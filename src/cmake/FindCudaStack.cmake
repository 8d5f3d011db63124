# What the CUDA device stands on: the toolkit (12 or newer, with nvcc), cuBLASLt, cuDNN 9 and the headers of
# cudnn-frontend. Uses the language CXX alone, so it may be asked where there is no CUDA at all.
#
# Looked at, in this order: CUDNN_ROOT (a variable or in the environment), CMAKE_PREFIX_PATH, the toolkit's
# folder, the system, and the folders nvidia/* of Python packages: those of the active environment, of python3,
# and of build/peers/venv, which the comparison tools make. The frontend's headers also in build/cudnn-frontend,
# where tools/setup puts them.
#
# Gives:
#   CudaStack_FOUND, CudaStack_VERSION    the toolkit's version
#   CudaStack_MISSING                     a list of what is missing, each with what helps
#   CudaStack_NVCC, CudaStack_CUDNN_VERSION, CudaStack_FRONTEND_VERSION
#   CudaStack_LIBRARY_FOLDERS             of cuDNN and cuBLASLt: where a program must find them when it runs
#   CudaStack_FRONTEND_INCLUDE_DIR
#   CudaStack::runtime    the CUDA runtime, linked statically, and its headers
#   CudaStack::cublas_lt  cuBLASLt
#   CudaStack::cudnn      cuDNN and the frontend's headers

set(CudaStack_MISSING "")
# For projects that ask for CMake 3.25 its module gives a target a property, and ends in an error where the toolkit
# has no such target: nvToolsExt is no longer in CUDA 13. For others it does not.
set(_asked ${CMAKE_MINIMUM_REQUIRED_VERSION})
set(CMAKE_MINIMUM_REQUIRED_VERSION 3.24)
find_package(CUDAToolkit 12 QUIET)
set(CMAKE_MINIMUM_REQUIRED_VERSION ${_asked})
if(CUDAToolkit_FOUND AND CUDAToolkit_NVCC_EXECUTABLE)
  set(CudaStack_VERSION ${CUDAToolkit_VERSION})
  set(CudaStack_NVCC ${CUDAToolkit_NVCC_EXECUTABLE})
else()
  set(_found "")
  if(CUDAToolkit_VERSION AND CUDAToolkit_VERSION VERSION_LESS 12)
    set(_found " here is ${CUDAToolkit_VERSION},")
  endif()
  list(APPEND CudaStack_MISSING
       "the CUDA toolkit 12 or newer with nvcc (${_found} -DCUDAToolkit_ROOT=FOLDER names another)")
  string(REPLACE "( " "(" CudaStack_MISSING "${CudaStack_MISSING}")
endif()

# Folders like site-packages/nvidia/cudnn, each with include and lib.
set(_roots ${CUDNN_ROOT} $ENV{CUDNN_ROOT} $ENV{CUDNN_PATH})
set(_packages ${CMAKE_SOURCE_DIR}/build/peers/venv/lib/python3*/site-packages
              ${CMAKE_SOURCE_DIR}/build/peers/venv/lib64/python3*/site-packages)
if(DEFINED ENV{VIRTUAL_ENV})
  list(PREPEND _packages $ENV{VIRTUAL_ENV}/lib/python3*/site-packages)
endif()
if(CUDAToolkit_FOUND)
  find_program(CudaStack_PYTHON NAMES python3 DOC "Whose packages may hold cuDNN")
  mark_as_advanced(CudaStack_PYTHON)
  if(CudaStack_PYTHON)
    execute_process(
      COMMAND ${CudaStack_PYTHON} -c
              "import site, sys; print(';'.join(p for p in sys.path + [site.getusersitepackages()] if p.endswith('-packages')))"
      OUTPUT_VARIABLE _told
      OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND _packages ${_told})
  endif()
endif()
set(_python_roots "")
foreach(_folder ${_packages})
  file(GLOB _some LIST_DIRECTORIES true ${_folder}/nvidia/cudnn ${_folder}/nvidia/cublas ${_folder}/nvidia/cu1?)
  list(APPEND _python_roots ${_some})
endforeach()
set(_toolkit_roots ${CUDAToolkit_TARGET_DIR} ${CUDAToolkit_LIBRARY_ROOT})

find_path(
  CudaStack_CUDNN_INCLUDE_DIR cudnn.h
  HINTS ${_roots} ${CMAKE_PREFIX_PATH} ${_toolkit_roots}
  PATHS ${_python_roots}
  PATH_SUFFIXES include)
# The package for Python has the versioned name alone; library and header are to come from one folder.
find_library(
  CudaStack_CUDNN_LIBRARY
  NAMES cudnn libcudnn.so.9 NAMES_PER_DIR
  HINTS ${_roots} ${CMAKE_PREFIX_PATH} ${_toolkit_roots}
  PATHS ${_python_roots}
  PATH_SUFFIXES lib lib64 lib/x64)
set(_cudnn_version "")
if(CudaStack_CUDNN_INCLUDE_DIR)
  foreach(_name cudnn_version.h cudnn_version_v9.h)
    if(EXISTS ${CudaStack_CUDNN_INCLUDE_DIR}/${_name})
      file(STRINGS ${CudaStack_CUDNN_INCLUDE_DIR}/${_name} _lines REGEX "^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
      foreach(_part MAJOR MINOR PATCHLEVEL)
        if("${_lines}" MATCHES "CUDNN_${_part} ([0-9]+)")
          set(_${_part} ${CMAKE_MATCH_1})
          set(_cudnn_version ${_MAJOR}.${_MINOR}.${_PATCHLEVEL})
        endif()
      endforeach()
      break()
    endif()
  endforeach()
endif()
if(CudaStack_CUDNN_INCLUDE_DIR AND CudaStack_CUDNN_LIBRARY AND _cudnn_version MATCHES "^9\\.")
  set(CudaStack_CUDNN_VERSION ${_cudnn_version})
elseif(CudaStack_CUDNN_INCLUDE_DIR AND CudaStack_CUDNN_LIBRARY)
  list(APPEND CudaStack_MISSING "cuDNN 9 (here is ${_cudnn_version}, -DCUDNN_ROOT=FOLDER names another)")
else()
  list(APPEND CudaStack_MISSING
       "cuDNN 9 (cudnn.h and libcudnn.so.9: -DCUDNN_ROOT=FOLDER names their folder, pip install nvidia-cudnn-cu${CUDAToolkit_VERSION_MAJOR} brings them)")
  string(REPLACE "cudnn-cu brings" "cudnn-cu13 brings" CudaStack_MISSING "${CudaStack_MISSING}")
endif()

find_library(
  CudaStack_CUBLAS_LT_LIBRARY
  NAMES cublasLt libcublasLt.so.${CUDAToolkit_VERSION_MAJOR} NAMES_PER_DIR
  HINTS ${_toolkit_roots}
  PATHS ${_python_roots}
  PATH_SUFFIXES lib lib64 lib/x64 targets/x86_64-linux/lib)
find_path(
  CudaStack_CUBLAS_LT_INCLUDE_DIR cublasLt.h
  HINTS ${CUDAToolkit_INCLUDE_DIRS}
  PATHS ${_python_roots}
  PATH_SUFFIXES include)
if(CUDAToolkit_FOUND AND NOT (CudaStack_CUBLAS_LT_LIBRARY AND CudaStack_CUBLAS_LT_INCLUDE_DIR))
  list(APPEND CudaStack_MISSING "cuBLASLt (cublasLt.h and libcublasLt.so of the CUDA toolkit)")
endif()

# Older ones lack what is used here; newer ones than 1.16 also want nvrtc.
find_path(
  CudaStack_FRONTEND_INCLUDE_DIR cudnn_frontend/graph_interface.h
  HINTS ${CMAKE_SOURCE_DIR}/build/cudnn-frontend
  PATH_SUFFIXES include)
set(CudaStack_FRONTEND_VERSION "")
if(CudaStack_FRONTEND_INCLUDE_DIR)
  file(STRINGS ${CudaStack_FRONTEND_INCLUDE_DIR}/cudnn_frontend_version.h _lines
       REGEX "^#define CUDNN_FRONTEND_(MAJOR|MINOR|PATCH)_VERSION ")
  string(REGEX REPLACE "[^0-9;]" "" CudaStack_FRONTEND_VERSION "${_lines}")
  string(REPLACE ";" "." CudaStack_FRONTEND_VERSION "${CudaStack_FRONTEND_VERSION}")
endif()
if(NOT CudaStack_FRONTEND_INCLUDE_DIR OR CudaStack_FRONTEND_VERSION VERSION_LESS 1.10)
  list(APPEND CudaStack_MISSING "the headers of cudnn-frontend, 1.10 or newer (tools/setup downloads them)")
endif()
mark_as_advanced(CudaStack_CUDNN_INCLUDE_DIR CudaStack_CUDNN_LIBRARY CudaStack_CUBLAS_LT_LIBRARY
                 CudaStack_CUBLAS_LT_INCLUDE_DIR CudaStack_FRONTEND_INCLUDE_DIR)

if(CudaStack_MISSING)
  set(CudaStack_FOUND FALSE)
else()
  set(CudaStack_FOUND TRUE)
  set(CudaStack_LIBRARY_FOLDERS "")
  foreach(_file ${CudaStack_CUDNN_LIBRARY} ${CudaStack_CUBLAS_LT_LIBRARY})
    get_filename_component(_folder ${_file} DIRECTORY)
    list(APPEND CudaStack_LIBRARY_FOLDERS ${_folder})
  endforeach()
  list(REMOVE_DUPLICATES CudaStack_LIBRARY_FOLDERS)
  if(NOT TARGET CudaStack::cudnn)
    add_library(CudaStack::runtime INTERFACE IMPORTED)
    target_link_libraries(CudaStack::runtime INTERFACE CUDA::cudart_static)
    target_include_directories(CudaStack::runtime SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
    add_library(CudaStack::cublas_lt UNKNOWN IMPORTED)
    set_target_properties(
      CudaStack::cublas_lt PROPERTIES IMPORTED_LOCATION ${CudaStack_CUBLAS_LT_LIBRARY}
                                      INTERFACE_INCLUDE_DIRECTORIES ${CudaStack_CUBLAS_LT_INCLUDE_DIR})
    add_library(CudaStack::cudnn UNKNOWN IMPORTED)
    set_target_properties(
      CudaStack::cudnn
      PROPERTIES IMPORTED_LOCATION ${CudaStack_CUDNN_LIBRARY}
                 INTERFACE_INCLUDE_DIRECTORIES
                 "${CudaStack_FRONTEND_INCLUDE_DIR};${CudaStack_CUDNN_INCLUDE_DIR};${CUDAToolkit_INCLUDE_DIRS}"
                 INTERFACE_COMPILE_DEFINITIONS
                 "CUDNN_FRONTEND_SKIP_JSON_LIB;NV_CUDNN_FRONTEND_DISABLE_LOGGING")
    if(EXISTS ${CudaStack_FRONTEND_INCLUDE_DIR}/cudnn_frontend/experimental/nvrtc_shim.h)
      target_link_libraries(CudaStack::cudnn INTERFACE CUDA::nvrtc)
    endif()
  endif()
endif()

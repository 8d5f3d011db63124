# The shared library, and `cmake --install`: a tree that may be moved, and that runs on a Debian 12
# without compiler or oneDNN. What such a system lacks travels in lib/, its licences in share/doc.
include(CMakePackageConfigHelpers)

# The target is not called "descent", or its name would meet the program's file in the build folder.
add_library(descent_library SHARED)
add_library(descent::descent ALIAS descent_library)
target_link_libraries(descent_library PRIVATE ${DESCENT_PARTS} descent_options)
target_compile_features(descent_library PUBLIC cxx_std_20)
target_include_directories(descent_library PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                                  $<INSTALL_INTERFACE:include>)
target_link_options(descent_library PRIVATE -Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/library.map)
set_target_properties(
  descent_library
  PROPERTIES OUTPUT_NAME descent
             EXPORT_NAME descent
             VERSION ${PROJECT_VERSION}
             SOVERSION ${PROJECT_VERSION_MAJOR}
             INSTALL_RPATH "$ORIGIN"
             LINK_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/library.map)

install(TARGETS descent_library EXPORT descentTargets LIBRARY DESTINATION lib)
install(DIRECTORY include/descent TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
if(TARGET descent_cli)
  set_target_properties(descent_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS descent_cli RUNTIME DESTINATION bin)
endif()
install(DIRECTORY datasets DESTINATION share/descent)
install(PROGRAMS tools/get_dataset DESTINATION share/descent/tools)

set(package_folder lib/cmake/descent)
configure_package_config_file(src/cmake/descentConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/descentConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/descentConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/descentConfig.cmake
              ${CMAKE_BINARY_DIR}/generated/descentConfigVersion.cmake DESTINATION ${package_folder})
install(EXPORT descentTargets NAMESPACE descent:: DESTINATION ${package_folder})

# Libraries that travel. The name is the one that programs ask the loader for.
function(install_travelling_library file name)
  if(file MATCHES "\\.so")
    file(REAL_PATH ${file} file)
    install(PROGRAMS ${file} DESTINATION lib RENAME ${name})
  endif()
endfunction()
if(DESCENT_WITH_CPU)
  get_target_property(DESCENT_DNNL_FILE DNNL::dnnl LOCATION)
  install_travelling_library(${DESCENT_DNNL_FILE} libdnnl.so.3)
endif()
if(OpenMP_gomp_LIBRARY)
  install_travelling_library(${OpenMP_gomp_LIBRARY} libgomp.so.1)
else()
  message(WARNING "The OpenMP runtime is not GCC's libgomp: cmake --install leaves it out")
endif()

# Licences of all that travels: as libraries, or as headers compiled in.
set(licence_folder share/doc/descent/licences)
function(install_licence part)
  foreach(file ${ARGN})
    if(EXISTS ${file})
      file(REAL_PATH ${file} file)
      get_filename_component(name ${file} NAME)
      install(FILES ${file} DESTINATION ${licence_folder}/${part} RENAME ${name})
      set(found TRUE)
    endif()
  endforeach()
  if(NOT found)
    message(WARNING "No licence of ${part} found: an installed tree must not be passed on without it")
  endif()
endfunction()
install(FILES LICENSE DESTINATION share/doc/descent)
if(DESCENT_WITH_CPU)
  get_filename_component(dnnl_prefix ${dnnl_DIR}/../../.. ABSOLUTE)
  set(dnnl_licences "")
  foreach(folder onednn dnnl)
    foreach(name LICENSE THIRD-PARTY-PROGRAMS)
      list(APPEND dnnl_licences ${dnnl_prefix}/share/doc/${folder}/${name})
    endforeach()
  endforeach()
  install_licence(onednn ${dnnl_licences})
endif()
if(DESCENT_WITH_CUDA)
  # Compiled into libdescent_cuda.so. NVIDIA's libraries do not travel.
  install_licence(cudnn-frontend ${CudaStack_FRONTEND_INCLUDE_DIR}/../LICENSE.txt)
endif()
install_licence(libgomp /usr/share/doc/libgomp1/copyright)
install_licence(libdeflate /usr/share/doc/libdeflate-dev/copyright)
install_licence(fmt /usr/share/doc/libfmt-dev/copyright)
install_licence(cli11 /usr/share/doc/libcli11-dev/copyright)
install_licence(tomlplusplus /usr/share/doc/libtomlplusplus-dev/copyright)
install_licence(nlohmann-json /usr/share/doc/nlohmann-json3-dev/copyright)
install_licence(chart.js /usr/share/doc/libjs-chart.js/copyright)
install_licence(stb /usr/share/doc/libstb-dev/copyright)

# How CMake builds librdkafka for 64-bit Windows with MinGW.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
# librdkafka up to 2.12 leaves snappy out where it does not use its ready-made Windows settings.
set(WITH_SNAPPY ON)

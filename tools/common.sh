# Sourced by the scripts of tools/: the checkout as working folder, one line a stage, the build.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build/log

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# What the comment at a script's head says, as its --help.
show_help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1"; }

# stage TEXT LOG COMMAND…: runs the command with its output in build/log/LOG.log, prints TEXT and the
# seconds it took; on failure the end of that log.
stage() {
  local text=$1 log=build/log/$2.log begin=$SECONDS
  shift 2
  printf '%-52s' "$text"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf '%5d s\n' $((SECONDS - begin))
  else
    printf '   failed after %d s\n\n' $((SECONDS - begin))
    tail -n 40 "$log" >&2
    fail "" "The whole log is $log."
  fi
}

# Started through sudo by the checkout's owner: root only installs the packages, then the script goes on
# as that user, so that nothing in the checkout ends up belonging to root.
leave_sudo() {
  local script=$1
  shift
  if [ "$(id -u)" = 0 ] && [ "${SUDO_UID:-0}" != 0 ] && [ "$(stat -c %u .)" = "$SUDO_UID" ]; then
    local code=0
    tools/setup --packages || code=$?
    chown -R "$SUDO_UID:$SUDO_GID" build/log
    chown "$SUDO_UID:$SUDO_GID" build
    [ $code = 0 ] || exit $code
    exec sudo -H -u "#$SUDO_UID" "$script" "$@"
  fi
}

# Two scripts at once take turns.
take_turns() {
  exec 9>build/.lock
  flock -n 9 || { echo "Another script is at work in build/: waiting for it"; flock 9; }
}

# The build folder of a preset of CMakePresets.json.
build_folder() { [ "$1" = default ] && echo build || echo "build/$1"; }

# build PRESET TARGET…
build() {
  local preset=$1 folder
  folder=$(build_folder "$1")
  shift
  if [ -e "$folder/CMakeCache.txt" ] && ! grep -q '^CMAKE_GENERATOR:.*=Ninja$' "$folder/CMakeCache.txt"; then
    stage "Configuring $folder" configure cmake "$folder"  # someone's own choice of generator
  else
    stage "Configuring $folder" configure cmake --preset "$preset"
  fi
  stage "Building $*" build cmake --build "$folder" --parallel "$(nproc)" --target "$@"
}

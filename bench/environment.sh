# Sourced by bench/run and bench/profile: what they need of the machine, and their virtual environment in .bench/venv.
. "$(dirname "${BASH_SOURCE[0]}")/../etc/bootstrap.sh"

prepare() {
  local missing
  mapfile -t missing < <(
    missing_packages <<'PROGRAMS'
nginx nginx-light
haproxy haproxy
curl curl
cc gcc
/usr/include/stdio.h libc6-dev
PROGRAMS
  )
  [ ${#missing[@]} = 0 ] || install_packages "What is measured, and with what" "${missing[@]}"
  make_environment "$root/.bench/venv"
  install_project "$root/.bench/venv" bench
}

# start MODULE ARGUMENT…: with the checkout's own code, whose dependencies the environment has.
start() {
  cd "$root"
  PATH=$root/.bench/venv/bin:$PATH PYTHONPATH=$root:$root/etc exec "$root/.bench/venv/bin/python" -m "$@"
}

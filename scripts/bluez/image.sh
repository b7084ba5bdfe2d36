# shellcheck shell=bash
# The part of the virtual machine that does not change with our sources: kernel, modules, D-Bus, BlueZ, btvirt and Node, from Debian
# packages and the Node that runs us. Sourced after lib/bring-up.sh. No chroot, no mount, nothing that needs root but apt-get.

bluez_cache="$tools/bluez-vm"

# What the guest needs besides the kernel, on Debian 12. The libraries are those that ldd names for the programs.
guest_packages=(
  bluez bluez-test-tools busybox-static dbus-daemon dbus-system-bus-common
  libdbus-1-3 libglib2.0-0 libasound2 libdw1 libelf1 libreadline8 libapparmor1 libaudit1 libcap-ng0 libexpat1 libsystemd0
)
# In the order in which they are loaded; what they depend on comes with them. Without those before ecdh_generic the kernel has no
# random numbers for its pairing keys and says so at every start.
guest_modules=(
  jitterentropy_rng sha256_generic sha512_generic hmac drbg ctr cmac aes_generic ecb ccm
  af_alg algif_skcipher algif_hash algif_aead ecdh_generic uhid bluetooth hci_vhci
)

# Afterwards $bluez_kernel and $bluez_root are files that boot.
bring_image() {
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || give_up "the virtual machine is made for 64-bit x86, this is $(uname -s) $(uname -m)"
  need_debian qemu-system-x86_64 qemu-system-x86 kmod cpio
  need_debian kmod kmod
  need_debian cpio cpio
  local key
  key=$(cat "$checkout/scripts/bluez/image.sh" "$checkout/scripts/bluez/init" <(node --version) | sha256sum | cut -c 1-16)
  bluez_kernel="$bluez_cache/kernel-$key"
  bluez_root="$bluez_cache/root-$key.cpio"
  [ -s "$bluez_kernel" ] && [ -s "$bluez_root" ] && return
  mkdir -p "$bluez_cache"
  (
    flock -w "$download_seconds" 9 || give_up "another run has been building the virtual machine for $download_seconds s"
    [ -s "$bluez_kernel" ] && [ -s "$bluez_root" ] && exit
    build_image
  ) 9>"$bluez_cache/lock"
}

# Builds beside the goal and renames, so that a killed run leaves nothing half there.
build_image() {
  local work kernel_package kernel_version
  work=$(mktemp -d "$bluez_cache/building.XXXXXX")
  # shellcheck disable=SC2064 # The folder is known now and gone from scope when the trap runs.
  trap "rm -rf '$work'" EXIT
  say "building the virtual machine from Debian packages"
  mkdir "$work/packages" "$work/unpacked" "$work/root"
  kernel_package=$(find_kernel_package)
  if [ -z "$kernel_package" ]; then
    quietly "apt-get update" apt-get update
    kernel_package=$(find_kernel_package)
  fi
  [ -n "$kernel_package" ] || give_up "apt-get knows no linux-image-amd64: this needs Debian 12"
  cd "$work/packages"
  # Lists of yesterday name files that are gone by now.
  download_packages "$kernel_package" >/dev/null 2>&1 || {
    quietly "apt-get update" apt-get update
    quietly "apt-get download" download_packages "$kernel_package"
  }
  local package
  for package in *.deb; do dpkg-deb -x "$package" "$work/unpacked"; done
  kernel_version=$(ls "$work/unpacked/lib/modules")
  depmod -b "$work/unpacked" "$kernel_version"

  lay_out_root "$work/unpacked" "$work/root"
  copy_modules "$work/unpacked" "$work/root" "$kernel_version"
  # Not compressed: QEMU hands it over at once, while the emulated processor would unpack it for seconds.
  (cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/root.cpio"
  mv "$work/unpacked/boot/vmlinuz-$kernel_version" "$bluez_kernel"
  mv "$work/root.cpio" "$bluez_root"
  # What an older recipe or another Node left behind.
  find "$bluez_cache" -maxdepth 1 -type f \( -name 'kernel-*' -o -name 'root-*' \) ! -name "*$key*" -delete
}

find_kernel_package() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }'; }

# APT would hand its work to a user that cannot write here, and complain.
download_packages() { timeout "$download_seconds" apt-get -qq -o APT::Sandbox::User=root download "$1" "${guest_packages[@]}"; }

# lay_out_root FROM TO: programs with their libraries, configuration, and init.
lay_out_root() {
  local from=$1 to=$2 program applet
  mkdir -p "$to"/{bin,usr/bin,usr/libexec/bluetooth,usr/share/dbus-1/system.d,app,proc,sys,dev,run,var/lib/bluetooth,var/lib/dbus}
  mkdir -p "$to"/etc/{bluetooth,dbus-1/system.d}
  cp "$from/bin/busybox" "$to/bin/busybox"
  # busybox itself must not be linked to itself.
  for applet in $("$to/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$to/bin/$applet"; done
  for program in usr/bin/dbus-daemon usr/libexec/bluetooth/bluetoothd usr/bin/btvirt; do
    cp "$from/$program" "$to/$program"
    copy_libraries "$from" "$to" "$to/$program"
  done
  cp -L "$(command -v node)" "$to/usr/bin/node"
  copy_libraries "$from" "$to" "$to/usr/bin/node"
  cp "$from/usr/share/dbus-1/system.conf" "$to/usr/share/dbus-1/"
  find "$from" -name bluetooth.conf -path '*dbus*' -exec cp {} "$to/etc/dbus-1/system.d/" \;
  printf 'root:x:0:0:root:/:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\n' >"$to/etc/passwd"
  printf 'root:x:0:\nmessagebus:x:100:\nbluetooth:x:101:\n' >"$to/etc/group"
  printf 'passwd: files\ngroup: files\n' >"$to/etc/nsswitch.conf"
  echo 0123456789abcdef0123456789abcdef | tee "$to/etc/machine-id" >"$to/var/lib/dbus/machine-id"
  install -m 755 "$checkout/scripts/bluez/init" "$to/init"
}

# copy_libraries FROM TO PROGRAM: what ldd names, preferring those that were downloaded over this machine's.
copy_libraries() {
  local from=$1 to=$2 program=$3 library target
  local listed
  listed=$(LD_LIBRARY_PATH="$from/usr/lib/x86_64-linux-gnu:$from/lib/x86_64-linux-gnu" ldd "$program")
  if grep -q 'not found' <<<"$listed"; then give_up "the virtual machine lacks$(grep 'not found' <<<"$listed" | tr -s '\t' ' ' | tr -d '\n'); this recipe is for Debian 12"; fi
  for library in $(grep -oE '(=> )?/[^ ]+' <<<"$listed" | sed 's/=> //'); do
    target=$to${library#"$from"}
    [ -e "$target" ] || install -D -m 755 "$(realpath "$library")" "$target"
  done
}

# copy_modules FROM TO VERSION: the modules and a list of them in the order of loading.
copy_modules() {
  local from=$1 to=$2 version=$3 module path
  for module in "${guest_modules[@]}"; do
    modprobe -d "$from" -S "$version" --show-depends "$module" 2>/dev/null | awk '/^insmod/ { print $2 }'
  done | sed 's#^.*/lib/modules/#/lib/modules/#' | awk '!seen[$0]++' >"$to/modules"
  while read -r path; do install -D -m 644 "$from$path" "$to$path"; done <"$to/modules"
  grep -q hci_vhci "$to/modules" || give_up "Debian's kernel package has no hci_vhci"
}

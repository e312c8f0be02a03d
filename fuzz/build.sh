#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds every fuzz target the way OSS-Fuzz asks for it: $CC $CFLAGS, $CXX $CXXFLAGS,
# $LIB_FUZZING_ENGINE, results in $OUT: programs, TARGET_seed_corpus.zip, TARGET.dict and
# TARGET.options.  What is not set gets a value with which it runs here:
#
#     fuzz/build.sh                    everything, into build/oss-fuzz
#     OUT=/tmp/out fuzz/build.sh fuzz_fwd fuzz_sip
#
# Asks for python3, pkg-config, BoringSSL, libxml2 and libxxhash; for nothing else of the build.
set -eu

if [ -n "${SRC:-}" ] && [ -d "$SRC/chordial/fuzz" ]; then
    cd "$SRC/chordial"
else
    cd "$(dirname "$0")/.."
fi
top=$(pwd)
checks='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
CC=${CC:-clang}
CXX=${CXX:-clang++}
CFLAGS=${CFLAGS:--O1 -g -fsanitize=fuzzer-no-link $checks}
CXXFLAGS=${CXXFLAGS:-$CFLAGS}
LIB_FUZZING_ENGINE=${LIB_FUZZING_ENGINE:--fsanitize=fuzzer}
OUT=${OUT:-$top/build/oss-fuzz}
WORK=${WORK:-$top/build/oss-fuzz-objects}
JOBS=${JOBS:-$(nproc)}
export CC CFLAGS top WORK

mkdir -p "$OUT" "$WORK"
# shell variables: TARGETS, SOURCES, PACKAGE_CFLAGS and PACKAGE_LIBS
settings=$(python3 tools/fuzz_sources.py "$@")
eval "$settings"
export PACKAGE_CFLAGS

# one object for each source; an object's name is its source's with - for /
echo "$SOURCES" | tr ' ' '\n' | xargs -P "$JOBS" -I '{}' sh -eu -c '
    out=$WORK/$(echo "$1" | tr / -).o
    $CC -std=c17 -D_GNU_SOURCE -DCHORDIAL_DEBUG -I"$top" -pthread -fno-strict-aliasing $CFLAGS \
        $PACKAGE_CFLAGS -c "$1.c" -o "$out"' sh '{}'

objects=
for source in $SOURCES; do
    case $source in
    fuzz/*) ;;
    *) objects="$objects $WORK/$(echo "$source" | tr / -).o" ;;
    esac
done
rm -f "$WORK/libchordial.a"
# shellcheck disable=SC2086 # a list of names without spaces
ar rcs "$WORK/libchordial.a" $objects

for target in $TARGETS; do
    # shellcheck disable=SC2086 # flags are lists
    $CXX $CXXFLAGS "$WORK/fuzz-$target.o" "$WORK/libchordial.a" $LIB_FUZZING_ENGINE \
        $PACKAGE_LIBS -pthread -o "$OUT/$target"
    python3 tools/fuzz_sources.py --pack "$OUT" "$target"
done
echo "built in $OUT:" $TARGETS

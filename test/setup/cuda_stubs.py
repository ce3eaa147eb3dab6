"""Stands in for the CUDA libraries that PyPI's torch is linked against, on a machine that trains on the CPU.

In: the torch of this Python. Out: one small library beside torch's own for each that is missing, with the
name, the version nodes and the functions that torch asks for; every function returns 100, "no CUDA device".
Empty libraries are not enough: some addresses are taken when torch is loaded.
"""
import os
import pathlib
import re
import subprocess
import sysconfig
import tempfile

TORCH = pathlib.Path(sysconfig.get_paths()["purelib"]) / "torch"
CUDA = re.compile(r"lib(cu|nv|nccl)")
# Functions without a version node are told apart by their names.
UNVERSIONED = {
    "libcuda.so.1": r"cu[A-Z]\w*$",
    "libcufile.so.0": r"cuFile",
    "libcusparseLt.so.0": r"cusparseLt",
    "libnccl.so.2": r"p?nccl[A-Z]",
}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_torch(files):
    """The libraries asked for; library → its version nodes; version node ('' = none) → its functions."""
    needed, versions, functions = set(), {}, {}
    for file in files:
        needed.update(re.findall(r"NEEDED.*\[(.*?)\]", output_of("readelf", "-dW", file)))
        library = None
        for line in output_of("readelf", "-VW", file).splitlines():
            if "Version definition section" in line:
                library = None
            elif found := re.search(r"File: (\S+)\s+Cnt", line):
                library = found[1]
            elif library and (found := re.search(r"Name: (\S+)\s+Flags", line)):
                versions.setdefault(library, set()).add(found[1])
        for line in output_of("nm", "-D", "--undefined-only", file).splitlines():
            name, _, version = line.split()[-1].partition("@")
            functions.setdefault(version.lstrip("@"), set()).add(name)
    return needed, versions, functions


def build(library, by_version):
    with tempfile.TemporaryDirectory() as folder:
        source, script = folder + "/stub.c", folder + "/versions.map"
        names = sorted(set().union(*by_version.values()))
        pathlib.Path(source).write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in names))
        nodes = [f"{version} {{ global: {' '.join(f'{name};' for name in sorted(functions))} }};\n"
                 for version, functions in by_version.items() if version]
        pathlib.Path(script).write_text("".join(nodes))
        built = f"{TORCH}/lib/.{library}.{os.getpid()}"
        options = ["-w", "-fno-builtin", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{library}"]
        versions = [f"-Wl,--version-script={script}"] if nodes else []
        subprocess.run(["gcc", *options, *versions, "-o", built, source], check=True)
        os.rename(built, f"{TORCH}/lib/{library}")


def main():
    files = [str(file) for file in [*TORCH.glob("lib/*.so*"), *TORCH.glob("_C*.so")]]
    have = {os.path.basename(file) for file in files}
    needed, versions, functions = read_torch(files)
    for library in sorted(name for name in needed - have if CUDA.match(name)):
        by_version = {version: functions.get(version, set()) for version in sorted(versions.get(library, ()))}
        if not by_version:
            pattern = UNVERSIONED.get(library, r"$^")
            by_version = {"": {name for name in functions.get("", ()) if re.match(pattern, name)}}
        build(library, by_version)


main()

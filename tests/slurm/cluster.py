"""A real Slurm of two nodes on this machine: Debian's packages, run as root, without systemd or accounting.

Both nodes are this host, each a slurmd of its own with its own port, spool folder and GPUs. A GPU is a device
file that stands for one: Slurm hands it out and sets CUDA_VISIBLE_DEVICES as on a real node, and no program
of the tests opens it. Memory limits are real: a job over its limit is killed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "munged")
NODES = ("n1", "n2")
LIMITS = ("Cores", "RAMSpace", "Devices")  # control groups need systemd; Slurm itself watches the memory
# The executor's jobs lose SLURM_CONF on their way, so the configuration must lie where Slurm looks by itself.
SYSTEM = Path("/etc/slurm")

_CONFIGURATION = """
ClusterName=vitpeel
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/completed.log
MinJobAge=3600
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
OverTimeLimit=0
KillWait=2
InactiveLimit=0
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes={names} Default=YES MaxTime=1-00:00:00 DefMemPerCPU=500 State=UP
PartitionName=gpu Nodes={names} MaxTime=1-00:00:00 DefMemPerCPU=500 State=UP
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory={memory} "
    "Gres=gpu:{gpus} State=UNKNOWN"
)


@dataclass(frozen=True)
class Job:
    """A finished job as Slurm's completion log has it."""

    number: str
    name: str
    state: str
    node: str


@dataclass(frozen=True)
class Cluster:
    """A running cluster; its files are below root."""

    root: Path

    def completed(self) -> list[Job]:
        """Every job that has ended so far, cancelled ones included."""
        log = self.root / "completed.log"
        lines = log.read_text().splitlines() if log.exists() else []
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
        return [Job(job["JobId"], job["Name"], job["JobState"], job["NodeList"]) for job in found]

    def running(self) -> list[str]:
        """Numbers of the jobs that wait or run."""
        done = subprocess.run(
            ["squeue", "-h", "-o", "%A", "-t", "PENDING,RUNNING,COMPLETING"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()


@contextmanager
def cluster(root: Path, cores: int = 2, memory: int = 72_000, gpus: int = 2) -> Iterator[Cluster]:
    """Start a cluster with its files in the empty folder `root`, stop it at the end.

    cores, memory (MB), gpus: of each of the two nodes, as Slurm is told; there may be less. The partitions
    are those of profiles/slurm-gpu.
    """
    _configure(root, cores, memory, gpus)
    links = [SYSTEM / name for name in ("slurm.conf", "gres.conf", "cgroup.conf")]
    taken = [link for link in links if link.exists()]
    if taken:
        raise RuntimeError(
            f"{taken[0]} is there: this machine has a Slurm of its own. Run the tests elsewhere."
        )
    SYSTEM.mkdir(exist_ok=True)
    for link in links:
        link.unlink(missing_ok=True)  # one that points nowhere is left over from a killed run
        link.symlink_to(root / link.name)
    try:
        _start(root)
        yield Cluster(root)
    finally:
        _stop(root)
        for link in links:
            link.unlink(missing_ok=True)


def _configure(root: Path, cores: int, memory: int, gpus: int) -> None:
    for folder in ("state", "dev", *(f"spool/{name}" for name in NODES)):
        (root / folder).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    ports = _free_ports(1 + len(NODES))
    nodes = [
        _NODE.format(name=name, host=host, port=port, cores=cores, memory=memory, gpus=gpus)
        for name, port in zip(NODES, ports[1:], strict=True)
    ]
    text = _CONFIGURATION.format(
        host=host, port=ports[0], root=root, nodes="\n".join(nodes), names=",".join(NODES)
    )
    (root / "slurm.conf").write_text(text)
    devices = f"{root}/dev/nvidia[0-{gpus - 1}]"
    for number in range(gpus):
        os.mknod(root / f"dev/nvidia{number}", 0o666 | 0o020000, os.makedev(1, 3))
    (root / "gres.conf").write_text(
        f"AutoDetect=off\nNodeName={','.join(NODES)} Name=gpu File={devices} Flags=nvidia_gpu_env\n"
    )
    # named, because slurmd would look for mounted control groups even where nothing uses them
    switches = "".join(f"Constrain{what}=no\n" for what in LIMITS)
    (root / "cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n{switches}")
    key = root / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)


def _start(root: Path) -> None:
    _run(
        root / "munged.log",
        "munged",
        "--force",  # temporary folders are private, which it does not like; everybody here is root
        *(f"--key-file={root}/munge.key", f"--socket={root}/munge.socket"),
        *(
            f"--pid-file={root}/munged.pid",
            f"--log-file={root}/munged.log",
            f"--seed-file={root}/munged.seed",
        ),
    )
    _run(root / "slurmctld.log", "slurmctld", "-c")
    _wait("slurmctld answers", lambda: "is UP" in _output("scontrol", "ping"))
    for name in NODES:
        _run(root / f"slurmd.{name}.log", "slurmd", "-N", name)
    idle = ("sinfo", "-h", "-N", "-t", "idle", "-o", "%N")
    _wait("both nodes are idle", lambda: set(_output(*idle).split()) == set(NODES))


def _stop(root: Path) -> None:
    subprocess.run(["scancel", "--user=root"], capture_output=True, check=False)
    for file in (*(f"slurmd.{name}.pid" for name in NODES), "slurmctld.pid", "munged.pid"):
        path = root / file
        if not path.exists():
            continue
        number = int(path.read_text())
        for how in (signal.SIGTERM, signal.SIGKILL):
            if _alive(number):
                os.kill(number, how)
                for _ in range(100):
                    if not _alive(number):
                        break
                    time.sleep(0.1)


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _run(log: Path, program: str, *arguments: str) -> None:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    done = subprocess.run([path or program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        logged = log.read_text()[-1000:] if log.exists() else ""
        raise RuntimeError(f"{program} did not start: {done.stderr or done.stdout or logged}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _wait(what: str, holds: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError(f"{what}: not within {seconds:.0f} s. See {SYSTEM}/slurm.conf for the logs.")
        time.sleep(0.1)

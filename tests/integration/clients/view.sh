#!/bin/sh
# Prints what a container sees, one fact a line, in an order that two runs share. Runs inside, under busybox.
#
# What differs from run to run by nature (ids, inode numbers, paths of an engine's own) is left out or named.
echo "id $(id)"
echo "cwd $PWD"
echo "umask $(umask)"
env | grep -vE '^(HOSTNAME|SHLVL|_|OLDPWD)=' | sort | sed 's/^/env /'
echo "hostname $(hostname)"
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status | sed 's/^/status /'
sed '1d; s/  */ /g; s/^/limit /; /pending signals/d; /processes/d' /proc/self/limits
echo "oom_score_adj $(cat /proc/self/oom_score_adj)"
tty >/dev/null && echo "a terminal"
# Mounts (Docker has masked /proc/interrupts since 28): where, options, type, options of the file system without what names an engine's paths.
awk '{ for (i = 7; $i != "-"; i++); print "mount", $5, $6, $(i + 1), $(i + 3) }' /proc/self/mountinfo |
    grep -v ' /proc/interrupts ' | sed -E 's/(lowerdir|upperdir|workdir)=[^, ]*/\1/g; s/,(index|xino|metacopy|redirect_dir|nfs_export|uuid|userxattr)=?[a-z]*//g; s/ overlay .*/ overlay/' | sort
find /dev -mindepth 1 -maxdepth 1 ! -name pts | sort | while read -r node; do
    if [ -h "$node" ]; then echo "dev $node $(readlink "$node")"; else echo "dev $node $(stat -c '%A %u %g %t %T' "$node")"; fi
done
for path in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/scsi /proc/acpi /sys/firmware \
    /proc/asound /proc/latency_stats /proc/timer_stats /sys/devices/virtual/powercap; do
    [ ! -e $path ] || echo "masked $path $(stat -c %F $path) $({ ls -A $path; cat $path; } 2>/dev/null | head -c 64 | wc -c)"
done
for path in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /sys /sys/fs/cgroup; do
    [ ! -e $path ] || echo "writable $path $([ -w $path ] && touch -c $path 2>/dev/null && echo yes || echo no)"
done
for file in hosts hostname resolv.conf mtab; do
    [ ! -e /etc/$file ] || echo "file /etc/$file $(stat -c '%F %a %u %g' /etc/$file)"
done
sed 's/^/hosts /' /etc/hosts 2>/dev/null
# Between lines of two kinds the order says nothing, and versions of Docker differ.
sed '/^#/d; /^$/d; s/^/resolv /' /etc/resolv.conf 2>/dev/null | sort -s -k 2,2
for key in net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range kernel/shmmax kernel/msgmax; do
    [ ! -e /proc/sys/$key ] || echo "sysctl $key $(cat /proc/sys/$key)"
done
for link in /sys/class/net/*; do
    [ "$link" = '/sys/class/net/*' ] || echo "link $(basename "$link") $(cat "$link/address" "$link/mtu" 2>/dev/null | tr '\n' ' ')"
done
ip -4 -o addr 2>/dev/null | awk '{ print "address", $2, $4 }'
ip route 2>/dev/null | sed 's/^/route /; s/ *$//'
for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes \
    memory/memory.swappiness cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems \
    pids/pids.max blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_iops_device \
    memory.max memory.swap.max memory.low cpu.max cpu.weight cpuset.cpus cpuset.mems pids.max io.max; do
    [ ! -e /sys/fs/cgroup/$file ] || echo "cgroup $file $(tr '\n' ' ' </sys/fs/cgroup/$file)"
done
echo "pid1 $(tr '\0' ' ' </proc/1/cmdline | cut -c1-30)"
echo "argv $*"

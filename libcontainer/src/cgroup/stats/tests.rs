//! The shape of the numbers, on directories that look like cgroups. The texts are those that
//! runc 1.5 prints for the same numbers.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::cgroup::fs::Dir;

/// A directory with these files.
struct Fake(PathBuf);

impl Fake {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("corten-stats-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs::write(dir.join(file), text).unwrap();
        }
        Self(dir)
    }

    fn dir(&self) -> Dir {
        Dir::plain(&self.0).unwrap()
    }

    fn v1(&self, controllers: &[&str]) -> std::io::Result<Stats> {
        let mut stats = Stats::default();
        for controller in controllers {
            v1::add(&self.dir(), controller, &mut stats)?;
        }
        Ok(stats)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

const EMPTY_CPUSET: &str = r#""cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0}"#;

/// The same members in the same order, zeros left out where runc leaves them out.
#[test]
fn nothing_is_printed_as_runc_prints_nothing() {
    let text = json(&Stats::default());
    assert_eq!(
        text,
        format!(
            r#"{{"cpu":{{}},{EMPTY_CPUSET},"memory":{{}},"pids":{{}},"blkio":{{}},"hugetlb":{{}},"intel_rdt":{{}},"network_interfaces":null}}"#
        )
    );
}

#[test]
fn v1_numbers_have_runc_s_shape() {
    let memory = [
        ("memory.stat", "cache 8192\nrss 4096\n"),
        ("memory.usage_in_bytes", "311296\n"),
        ("memory.max_usage_in_bytes", "3031040\n"),
        ("memory.failcnt", "2\n"),
        ("memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory.memsw.usage_in_bytes", "311296\n"),
        ("memory.memsw.max_usage_in_bytes", "3031040\n"),
        ("memory.memsw.failcnt", "0\n"),
        ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
        // No kmem.limit_in_bytes: Linux 6.1.
        ("memory.kmem.usage_in_bytes", "249856\n"),
        ("memory.kmem.max_usage_in_bytes", "638976\n"),
        ("memory.kmem.failcnt", "0\n"),
    ];
    let rest = [
        ("cpuacct.stat", "user 1\nsystem 2\n"),
        ("cpuacct.usage", "17590073\n"),
        ("cpuacct.usage_percpu", "15636417 1953656 \n"),
        ("cpuacct.usage_all", "cpu user system\n0 8000000 4000000\n1 0 0\n"),
        ("cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 5\nnr_bursts 0\n"),
        ("cpuset.cpus", "0-1\n"),
        ("cpuset.mems", "0\n"),
        ("cpuset.sched_load_balance", "1\n"),
        ("cpuset.sched_relax_domain_level", "-1\n"),
        ("pids.current", "1\n"),
        ("pids.max", "max\n"),
    ];
    let fake = Fake::new("v1", &[&memory[..], &rest[..]].concat());
    let stats = fake.v1(&["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio"]).unwrap();
    assert_eq!(
        json(&stats),
        concat!(
            r#"{"cpu":{"usage":{"total":17590073,"percpu":[15636417,1953656],"percpu_kernel":[4000000,0],"#,
            r#""percpu_user":[8000000,0],"kernel":20000000,"user":10000000},"#,
            r#""throttling":{"periods":3,"throttledPeriods":2,"throttledTime":5}},"#,
            r#""cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"#,
            r#""memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"#,
            r#""sched_load_balance":1,"sched_relax_domain_level":-1},"#,
            r#""memory":{"cache":8192,"usage":{"limit":9223372036854771712,"usage":311296,"max":3031040,"failcnt":2},"#,
            r#""swap":{"limit":9223372036854771712,"usage":311296,"max":3031040,"failcnt":0},"#,
            r#""kernel":{"limit":0,"usage":249856,"max":638976,"failcnt":0},"raw":{"cache":8192,"rss":4096}},"#,
            r#""pids":{"current":1},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}"#
        )
    );
}

#[test]
fn v1_block_io_is_that_of_the_first_group_with_numbers() {
    let fake = Fake::new(
        "blkio",
        &[
            ("blkio.bfq.sectors_recursive", ""),
            ("blkio.throttle.io_serviced_recursive", "8:0 Read 5\n8:0 Total 5\nTotal 5\n"),
            ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 4096\nTotal 4096\n"),
            ("blkio.throttle.io_serviced", "8:0 Read 1\nTotal 1\n"),
        ],
    );
    let stats = fake.v1(&["blkio"]).unwrap();
    assert_eq!(
        json(&stats.blkio),
        concat!(
            r#"{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":4096}],"#,
            r#""ioServicedRecursive":[{"major":8,"op":"Read","value":5},{"major":8,"op":"Total","value":5}]}"#
        )
    );
    let broken = Fake::new("blkio-broken", &[("blkio.throttle.io_serviced", "nonsense\n")]);
    let error = broken.v1(&["blkio"]).unwrap_err().to_string();
    assert_eq!(error, "unable to parse blkio.throttle.io_serviced: \"nonsense\"");
}

#[test]
fn v2_numbers_have_runc_s_shape() {
    let fake = Fake::new(
        "v2",
        &[
            (
                "cpu.stat",
                "usage_usec 21013\nuser_usec 5253\nsystem_usec 15760\nnr_periods 4\nnr_throttled 1\nthrottled_usec 7\n",
            ),
            (
                "cpu.pressure",
                "some avg10=1.53 avg60=0.00 avg300=100.00 total=2135\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
            ("memory.stat", "anon 4096\nfile 8192\n"),
            ("memory.current", "12288\n"),
            ("memory.max", "33554432\n"),
            ("memory.peak", "20480\n"),
            ("memory.swap.current", "100\n"),
            ("memory.swap.max", "max\n"),
            ("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n"),
            ("pids.current", "2\n"),
            ("pids.max", "20\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n(unknown) x=1\n"),
            ("rdma.max", "mlx5_0 hca_handle=2 hca_object=max\n"),
            ("misc.current", "sev 1\n"),
            ("misc.events", "sev.max 5\n"),
        ],
    );
    assert_eq!(
        json(&v2::of(&fake.dir()).unwrap()),
        [
            r#"{"cpu":{"usage":{"total":21013000,"kernel":15760000,"user":5253000},"#,
            r#""throttling":{"periods":4,"throttledPeriods":1,"throttledTime":7000},"#,
            r#""psi":{"some":{"avg10":1.53,"avg60":0,"avg300":100,"total":2135}}},"#,
            EMPTY_CPUSET,
            r#","memory":{"cache":8192,"usage":{"limit":33554432,"usage":12288,"max":20480,"failcnt":0},"#,
            r#""swap":{"limit":18446744073709551615,"usage":12388,"failcnt":0},"#,
            r#""raw":{"anon":4096,"file":8192},"#,
            r#""events":{"high":0,"low":0,"max":3,"oom":1,"oom_group_kill":0,"oom_kill":1}},"#,
            r#""pids":{"current":2,"limit":20},"#,
            r#""blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":1},{"major":8,"op":"Write","value":2}],"#,
            r#""ioServicedRecursive":[{"major":8,"op":"Read","value":3},{"major":8,"op":"Write","value":4}]},"#,
            r#""hugetlb":{},"intel_rdt":{},"network_interfaces":null,"#,
            r#""rdma":{"rdma_limit":[{"device":"mlx5_0","hca_handles":2,"hca_objects":4294967295}]},"#,
            r#""misc":{"sev":{"usage":1,"events":5}}}"#
        ]
        .concat()
    );
}

#[test]
fn v2_without_controllers_counts_processes() {
    let fake = Fake::new("bare", &[("cgroup.procs", "12\n13\n"), ("cpu.stat", "usage_usec 1\n")]);
    let stats = v2::of(&fake.dir()).unwrap();
    assert_eq!(stats.pids, Pids { current: 2, limit: 0 });
    assert_eq!(json(&stats.memory), "{}");
    assert_eq!(json(&stats.cpu), r#"{"usage":{"total":1000,"kernel":0,"user":0}}"#);
}

#[test]
fn a_resctrl_class_has_runc_s_shape() {
    let fake = Fake::new(
        "rdt",
        &[
            ("schemata", "    MB:0=100\n    L3:0=fffff\n"),
            ("info/L3/cbm_mask", "fffff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "1\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
            ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"),
            ("box/schemata", "    MB:0=50\n    L3:0=000ff\n"),
            ("box/mon_data/mon_L3_00/llc_occupancy", "123\n"),
            ("box/mon_data/mon_L3_00/mbm_total_bytes", "Unavailable\n"),
            ("box/mon_data/mon_L3_00/mbm_local_bytes", "9\n"),
        ],
    );
    let class = fake.0.join("box");
    let stats = IntelRdt::read(&fake.0, &class, &class).unwrap();
    assert_eq!(
        json(&stats),
        concat!(
            r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"#,
            r#""l3_cache_schema_root":"L3:0=fffff","l3_cache_schema":"L3:0=000ff","#,
            r#""mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},"#,
            r#""mem_bw_schema_root":"MB:0=100","mem_bw_schema":"MB:0=50","#,
            r#""schemata":["MB:0=50","    L3:0=000ff"],"#,
            r#""mbm_stats":[{"mbm_total_bytes":0,"mbm_local_bytes":9}],"cmt_stats":[{"llc_occupancy":123}]}"#
        )
    );
    assert!(IntelRdt::read(&fake.0, &fake.0.join("gone"), &class).is_err());
}

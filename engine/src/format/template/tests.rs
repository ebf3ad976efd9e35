//! Templates as they are used, each with what Docker's CLI prints.

use super::{Template, Value};
use std::sync::LazyLock;

const CONTAINER: &str = r#"{
    "Id": "abc123",
    "Name": "/web",
    "State": {"Running": true, "Pid": 42, "Health": null, "Ratio": 0.5},
    "Args": ["-c", "sleep 1"],
    "Mounts": [{"Source": "/a", "RW": true}, {"Source": "/b", "RW": false}],
    "Config": {
        "Env": ["A=1", "B=2"],
        "Cmd": null,
        "Labels": {"com.x.role": "db", "plain": "yes"},
        "ExposedPorts": null
    },
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null},
        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}
    }
}"#;

fn rendered(template: &str) -> Result<String, String> {
    static VALUE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONTAINER).unwrap());
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template.render(&VALUE).map_err(|error| error.to_string())
}

/// Template and what it prints.
const PRINTS: &[(&str, &str)] = &[
    ("{{.Id}}", "abc123"),
    ("{{ .State.Pid }}", "42"),
    ("{{.State.Running}}", "true"),
    ("{{.State.Health}}", "<nil>"),
    ("{{.State.Ratio}}", "0.5"),
    ("{{.Config.Cmd}}", "[]"),
    ("{{.Config.ExposedPorts}}", "map[]"),
    ("{{.Args}}", "[-c sleep 1]"),
    ("{{json .Args}}", r#"["-c","sleep 1"]"#),
    ("{{json .Config.Cmd}}", "null"),
    ("{{json .State}}", r#"{"Running":true,"Pid":42,"Health":null,"Ratio":0.5}"#),
    ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "172.17.0.2"),
    (r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#, "8080"),
    (
        "{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{(index $conf 0).HostPort}} {{break}}{{end}}",
        " 80/tcp -> 8080 ",
    ),
    (r#"{{index .Config.Labels "com.x.role"}}"#, "db"),
    (r#"{{index .Config.Labels "none"}}"#, ""),
    ("{{.Config.Labels.plain}}/{{.Config.Labels.none}}", "yes/"),
    (
        r#"{{range .Mounts}}{{if .RW}}{{.Source}} rw{{else}}{{.Source}} ro{{end}};{{end}}"#,
        "/a rw;/b ro;",
    ),
    (r#"{{join .Config.Env ","}}"#, "A=1,B=2"),
    (r#"{{join .Args " "}}"#, "-c sleep 1"),
    (r#"{{range .Config.Env}}{{println .}}{{end}}"#, "A=1\nB=2\n"),
    (r#"{{title "ab cd"}} {{upper "x"}} {{lower "Y"}}"#, "Ab Cd X y"),
    (r#"{{slice .Id 0 3}} {{truncate .Id 2}} {{pad .Id 1 2}}|"#, "abc ab  abc123  |"),
    (r#"{{len .Mounts}} {{len .Name}} {{len .Config.Cmd}}"#, "2 4 0"),
    (r#"{{with .State}}{{.Pid}}{{end}}{{with .Config.Cmd}}x{{else}}none{{end}}"#, "42none"),
    (r#"{{if eq .State.Pid 42}}yes{{end}}{{if ne .Name "/web"}}no{{end}}"#, "yes"),
    (r#"{{if and .State.Running (gt .State.Pid 1)}}up{{end}}"#, "up"),
    (r#"{{if or .Config.Cmd (not .State.Running)}}a{{else if .Id}}b{{else}}c{{end}}"#, "b"),
    (
        r#"{{.Name | printf "%s-%05d|%-5s|%x|%q" "n" 42 "l"}}"#,
        "n-00042|l    |2f776562|%!q(MISSING)",
    ),
    (
        r#"{{printf "%q %v %5.2f %t %%" .Name .Args .State.Ratio true}}"#,
        r#""/web" [-c sleep 1]  0.50 true %"#,
    ),
    (r#"{{printf "%d" "x"}} {{print 1 2 "a" 3}}"#, "%!d(string=x) 1 2a3"),
    ("a {{- /* gone */ -}} b", "ab"),
    ("a {{- .Id -}} b", "aabc123b"),
    ("{{/* c */}}x", "x"),
    (r#"{{$x := .Id}}{{range .Args}}{{$x}}{{end}}{{$x = "z"}}{{$x}}"#, "abc123abc123z"),
    ("{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$e}}{{end}}", "-c, sleep 1"),
    ("{{range .Mounts}}{{if not .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/a"),
    ("{{range .Config.Cmd}}x{{else}}empty{{end}}", "empty"),
    ("{{$.Id}}{{with .State}}{{$.Name}}{{end}}", "abc123/web"),
    (r#"{{index (split .Name "/") 1}}"#, "web"),
    ("{{range 3}}{{.}}{{end}}", "012"),
    (r#"{{.Label "none"}}"#, ""),
    (r#"{{.Config.Label "com.x.role"}}"#, "db"),
    ("{{nil | json}}", "null"),
    ("no action", "no action"),
    ("", ""),
];

#[test]
fn templates_of_dockers_documentation() {
    for (template, want) in PRINTS {
        assert_eq!(rendered(template).as_deref(), Ok(*want), "{template}");
    }
    let literals = r#"{{"quoted\t\"x\" \u00e9"}}{{`raw\n`}}{{'a'}}{{-3}}{{0x10}}{{1e3}}{{1.5}}"#;
    assert_eq!(rendered(literals).unwrap(), "quoted\t\"x\" éraw\\n97-31610001.5");
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("{{", "unclosed action"),
        ("{{.Id", "unclosed action"),
        ("{{}}", "missing value"),
        ("{{.Idd}}", "did you mean .Id?"),
        ("{{.State.Nothing}}", "it has Running, Pid, Health, Ratio"),
        ("{{.Id.X}}", "can't evaluate field X in type string"),
        ("{{.State.Health.Status}}", "nil pointer evaluating .Status"),
        ("{{uper .Id}}", "did you mean \"upper\"?"),
        ("{{if .Id}}x", "without {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{if .Id}}{{else}}{{else}}{{end}}", "expected end"),
        ("{{break}}", "outside {{range}}"),
        ("{{template \"x\"}}", "subset"),
        ("{{\"x}}", "unterminated quoted string"),
        ("{{`x}}", "unterminated raw"),
        ("{{/* x}}", "unclosed comment"),
        ("{{(.Id}}", "unclosed left paren"),
        ("{{.Id)}}", "unexpected"),
        ("{{.Id | .Name}}", "non executable"),
        ("{{.Id 1}}", "can't give argument"),
        ("{{$x}}", "undefined variable"),
        ("{{$x = 1}}", "undefined variable"),
        ("{{len 1}}", "len of type int"),
        ("{{upper 1}}", "expected string"),
        ("{{upper}}", "wrong number of args"),
        ("{{index .Args 9}}", "out of range"),
        ("{{index .Args -1}}", "out of range"),
        ("{{slice .Id 5 2}}", "out of range"),
        ("{{eq .Id 1}}", "incompatible types"),
        ("{{range .Id}}{{end}}", "can't iterate"),
        ("{{12abc}}", "bad number"),
        ("{{a:b}}", "expected :="),
        ("{{\"\\z\"}}", "unknown escape"),
        ("{{@}}", "unexpected '@'"),
    ];
    for (template, words) in cases {
        let wrong = rendered(template).unwrap_err();
        assert!(wrong.contains(words), "{template}: {wrong}");
    }
}

#[test]
fn depth_and_length_have_limits() {
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(rendered(&deep).unwrap_err().contains("too many parentheses"));
    let deep = "{{if 1}}".repeat(100_000);
    assert!(rendered(&deep).unwrap_err().contains("too many blocks"));
    let chained = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000));
    assert!(rendered(&chained).unwrap_err().contains("too many blocks"));
    let long = "{{range 1000000}}{{range 1000000}}0123456789{{end}}{{end}}";
    assert!(rendered(long).unwrap_err().contains("64 MiB"));
}

#[rustfmt::skip]
const PARTS: &[&str] = &[
    "{{", "}}", "{{-", " -}}", ".", ".Id", ".State", ".Args", "$", "$x", ":=", "=", ",", "|",
    "(", ")", "if ", "else", "end", "range ", "with ", "break", "index ", "len ", "printf ",
    "json ", "join ", "slice ", "split ", "\"%5d\"", "\"", "`", "'", "1", "-1", "0x", "1e",
    "é", "\u{feff}", "\\", " ", "\n", "/*", "*/", "{{end}}", "{{else}}", "{{if .Id}}",
    "{{range .Args}}", "truncate ", "pad ", "99999999999999999999",
];

/// Any text is read or refused, and never ends the process.
#[test]
fn any_text_is_read_or_refused() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |most: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 65_536).unwrap_or(0) % most
    };
    let mut fine = 0;
    for _ in 0..10_000 {
        let text: String =
            (0..=next(14)).filter_map(|_| PARTS.get(next(PARTS.len()))).copied().collect();
        fine += usize::from(rendered(&text).is_ok());
        let wrapped = format!("{{{{{text}}}}}");
        fine += usize::from(rendered(&wrapped).is_ok());
    }
    assert!(fine > 100, "{fine} of 20000 were templates");
}

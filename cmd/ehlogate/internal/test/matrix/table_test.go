package main

import "testing"

func TestTable(t *testing.T) {
	old, err := newRelease("Debian 12\npostfix 3.7.11-0+deb12u1\nsystemd 252.38-1~deb12u1\n")
	if err != nil {
		t.Fatal(err)
	}
	newer, err := newRelease("Debian 13\npostfix 1:3.10.13-1\nsystemd 257\n")
	if err != nil {
		t.Fatal(err)
	}
	units := []string{"root", "systemd", "Postfix"}
	old.results["mtatest.TestUnits"] = result{"mtatest.TestUnits", units, true}
	newer.results["mtatest.TestUnits"] = result{"mtatest.TestUnits", units, false}
	newer.results["mtatest.TestPostfix"] = result{"mtatest.TestPostfix", []string{"root", "Postfix"}, true}
	newer.results["netns.TestLink"] = result{"netns.TestLink", []string{"root"}, true} // no server
	const want = `| Test | Server | Debian 12 | Debian 13 |
|---|---|---|---|
| ` + "`mtatest.TestPostfix`" + ` | Postfix | 3.7.11: not run | 3.10.13: held |
| ` + "`mtatest.TestUnits`" + ` | Postfix, systemd | 3.7.11, 252.38: held | 3.10.13, 257: **not held** |
`
	if got := markdown([]release{*old, *newer}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := newRelease("Debian 12\npostfix\n"); err == nil {
		t.Error("a package without a version: got no error")
	}
}

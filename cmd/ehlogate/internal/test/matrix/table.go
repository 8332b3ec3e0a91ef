package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// release is a release of Debian, and what held there.
type release struct {
	name     string
	versions map[string]string // by Debian's name of a package
	results  map[string]result // by test
}

// result is one line of EHLOGATE_TEST_RESULTS: see testrun.
type result struct {
	Test  string
	Needs []string
	Held  bool
}

// servers are the programs that have a version, by the name that a test has for what it needs.
var servers = map[string]string{"Postfix": "postfix", "Sendmail": "sendmail", "Exim": "exim", "systemd": "systemd", "nft": "nftables",
	"rbldnsd": "rbldnsd", "unbound": "unbound", "debhelper": "debhelper", "lintian": "lintian", "gcc": "gcc", "strace": "strace"}

// serversOf returns those of the needs that have a version.
func serversOf(needs []string) []string {
	var found []string
	for _, need := range needs {
		if servers[need] != "" {
			found = append(found, need)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// markdown returns the table: a row for each test and each set of servers.
func markdown(all []release) string {
	needs := map[string][]string{}
	for _, r := range all {
		for test, one := range r.results {
			if found := serversOf(one.Needs); len(found) > 0 {
				needs[test] = found
			}
		}
	}
	var b strings.Builder
	b.WriteString("| Test | Server |")
	for _, r := range all {
		fmt.Fprintf(&b, " %s |", r.name)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(all)) + "\n")
	order := slices.SortedFunc(maps.Keys(needs), func(a, b string) int {
		if c := slices.Compare(needs[a], needs[b]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, test := range order {
		fmt.Fprintf(&b, "| `%s` | %s |", test, strings.Join(needs[test], ", "))
		for _, r := range all {
			fmt.Fprintf(&b, " %s |", r.cell(test, needs[test]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// cell says whether a test held, with the versions of what it needs.
func (r release) cell(test string, needs []string) string {
	var versions []string
	for _, need := range needs {
		versions = append(versions, r.versions[servers[need]])
	}
	one, ran := r.results[test]
	state := "**not held**"
	switch {
	case !ran:
		state = "not run"
	case one.Held:
		state = "held"
	}
	return strings.Join(versions, ", ") + ": " + state
}

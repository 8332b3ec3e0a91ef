package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
)

const (
	addressesHead = "# made by: ehlogate export --format postfix-addresses --without-networks\n"
	networksHead  = "# made by: ehlogate export --format postfix-networks\n"
)

// Of two tables that decide together, the advice is one command that exports both.
func TestPairs(t *testing.T) {
	lists := t.TempDir()
	for name, text := range map[string]string{
		"c.toml": "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n", "deny.list": "10.0.0.0/8\n192.0.2.1\n",
	} {
		if err := os.WriteFile(filepath.Join(lists, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(lists, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	const shared = "/the/tables" // in place of the directory of each case
	at := func(name string) string { return filepath.Join(shared, name) }
	const addresses, networks = addressesHead + "192.0.2.1\tstarttls\n", networksHead + "10.0.0.0/8\tstarttls\n"
	export := "ehlogate export -c " + cfg.File + " --format postfix-addresses -o " + at("a") + " --networks "
	pairMap := "texthash:" + at("a") + ", cidr:" + at("n")
	for _, tc := range []struct {
		name, addresses, networks, maps string
		want                            []string
		writes                          []string
	}{
		{"in step", addresses, networks, pairMap, nil, nil},
		{"addresses alone", addresses, networks, "texthash:" + at("a"), []string{"warning table-lacks-networks"},
			[]string{export + at("a") + `.cidr --then "postfix reload"`, "texthash:" + at("a") + ", cidr:" + at("a") + ".cidr"}},
		{"networks alone", addresses, networks, "cidr:" + at("n"), []string{"warning table-lacks-addresses"},
			[]string{"ehlogate export -c " + cfg.File + " --format postfix-addresses -o " + at("n") + "-addresses --networks " + at("n") +
				` --then "postmap cdb:` + at("n") + `-addresses"`, "cdb:" + at("n") + "-addresses, cidr:" + at("n")}},
		{"in the other order", addresses, networks, "cidr:" + at("n") + ", texthash:" + at("a"), []string{"warning table-lacks-addresses"},
			[]string{strings.ReplaceAll(pairMap, " ", "")}},
		{"with another table in a unionmap", addresses, networks, "unionmap:{cidr:/dev/null, " + pairMap + "}", []string{"warning table-lacks-addresses"},
			[]string{strings.ReplaceAll(pairMap, " ", "") + ",cidr:/dev/null"}},
		{"networks of another service", addresses, strings.Replace(networksHead, "\n", " --service=submission\n", 1), pairMap, []string{"warning table-lacks-networks"}, nil},
		{"networks behind the lists", addresses, networksHead + "11.0.0.0/8\tstarttls\n", pairMap, []string{"warning table-behind"},
			[]string{export + at("n") + ` --if-changed --then "postfix reload"`}},
		{"addresses behind the lists", addressesHead + "192.0.2.2\tstarttls\n", networks, pairMap, []string{"warning table-behind"},
			[]string{export + at("n") + ` --if-changed --then "postfix reload"`}},
		{"addresses that cannot have the networks", strings.Replace(addresses, " --without-networks", "", 1), "", "texthash:" + at("a"),
			[]string{"warning table-stays-behind"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) { // at once: postmap waits a second before it fails
			t.Parallel()
			dir := t.TempDir()
			here := strings.NewReplacer(shared, dir).Replace
			for name, text := range map[string]string{"a": tc.addresses, "n": tc.networks} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := Examine(t.Context(), ThisHost(false), cfg, settingsWith(t, "ehlogate_map = "+here(tc.maps)+"\n"), nil, nil)
			var got, writes []string
			for _, f := range r.Findings {
				if strings.HasPrefix(f.ID, "table-") {
					got = append(got, f.Severity.String()+" "+f.ID)
					for _, w := range append([]Write{f.Write}, f.Also...) {
						writes = append(writes, w.Lines...)
					}
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
			for _, want := range tc.writes {
				if !slices.ContainsFunc(writes, func(line string) bool { return strings.Contains(line, here(want)) }) {
					t.Errorf("no %q in %q", here(want), writes)
				}
			}
			for _, name := range []string{"a", "n"} {
				if inStep := strings.Contains(r.Judged, filepath.Join(dir, name)+" decides as the lists on disk do"); tc.name == "in step" && !inStep {
					t.Errorf("judged: %s", r.Judged)
				}
			}
		})
	}
}

// A smtpd keeps the networks that it has read when an lmdb database changes, which is in place.
func TestRefreshPair(t *testing.T) {
	for kind, want := range map[string]string{"cdb": "postmap cdb:/t", "lmdb": "postmap lmdb:/t && postfix reload", "texthash": "postfix reload"} {
		if got := (table{kind: kind, name: "/t"}).refreshPair(); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// The database of an access map that is older than what ehlogate exported.
func TestAccessDatabase(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"c.toml": "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n", "deny.list": "192.0.2.1\n",
		"access": "# made by: ehlogate export --format sendmail-access\nSrv_Features:192.0.2.1\tS\n", "access.db": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	access := filepath.Join(dir, "access")
	for _, kind := range []string{"hash", "text"} {
		for _, age := range []time.Duration{0, time.Hour} {
			now := time.Now()
			if err := errors.Join(os.Chtimes(access, now, now), os.Chtimes(access+".db", now, now.Add(-age))); err != nil {
				t.Fatal(err)
			}
			r := Examine(t.Context(), ThisHost(false), cfg, nil, nil, ParseSendmail("sendmail.cf", "Kaccess "+kind+" -T<TMPF> "+access+"\n"))
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == "database-behind" })
			if behind := i >= 0; behind != (kind == "hash" && age > 0) {
				t.Errorf("%s, %v: %q", kind, age, idsOf(r))
			} else if want := "makemap hash " + access + " <" + access; behind && r.Findings[i].Write.Lines[0] != want {
				t.Errorf("%q, want %q", r.Findings[i].Write.Lines, want)
			}
		}
	}
}

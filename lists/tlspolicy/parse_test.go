package tlspolicy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheckDomain(t *testing.T) {
	long := strings.Repeat("a.", 121) + "aa" // 244
	for _, s := range []string{"example.org", "Example.ORG", "example.org.", "xn--bcher-kva.example", "lan", "a-b.example", "1.example", "3com.com", long} {
		if err := CheckDomain(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"":                                   `invalid domain "": empty host name`,
		".":                                  `invalid domain ".": empty host name`,
		"user@example.org":                   `invalid domain "user@example.org": write only what is after the @`,
		".example.org":                       "patterns are not supported",
		"*.example.org":                      "patterns are not supported",
		"bücher.example":                     "xn--",
		"a b.example":                        `invalid character ' ' in host name`,
		"_mta-sts.example":                   `invalid character '_'`,
		"exam/ple":                           `invalid character '/'`,
		"a\x00b":                             "invalid character",
		"a..example":                         "empty label",
		"-a.example":                         "hyphen",
		"a-.example":                         "hyphen",
		"192.0.2.1":                          "IP address",
		"2001:db8::1":                        "invalid character",
		"25":                                 "IP address",
		"a" + long:                           "245 characters",
		"x" + long + ".org":                  "characters",
		strings.Repeat("a", 64) + ".example": "longer than 63",
	} {
		if err := CheckDomain(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", s, err, want)
		}
	}
}

func TestParseRecord(t *testing.T) {
	for s, want := range map[string]string{
		"v=STSv1; id=20160831085700Z;":           "20160831085700Z", // RFC 8461 section 3.1
		"v=STSv1;id=a":                           "a",
		"v=STSv1; \tid=a \t; \t":                 "a",
		"v=STSv1; x=1; id=a; id=b; y=\"2\"":      "a",
		"v=STSv1; ID=b; id=a":                    "a",
		"v=STSv1; id=" + strings.Repeat("a", 32): strings.Repeat("a", 32),

		"v=STSv1;":             "",
		"v=STSv1; ":            "",
		"v=STSv1;;id=a":        "",
		"v=STSv1; id=a;;":      "",
		"v=STSv1; id=":         "",
		"v=STSv1; id=a-b":      "",
		"v=STSv1; id=a b":      "",
		"v=STSv1; id =a":       "",
		"v=STSv1; id= a":       "",
		"v=STSv1; x=y":         "",
		"v=STSv1; x; id=a":     "",
		"v=STSv1; x=; id=a":    "",
		"v=STSv1; x=y=z; id=a": "",
		"v=STSv1; x=ü; id=a":   "",
		"v=STSv1; _x=y; id=a":  "",
		"v=STSv1; " + strings.Repeat("x", 33) + "=y; id=a": "",
		"v=STSv1; id=" + strings.Repeat("a", 33):           "",
	} {
		if got, err := parseRecord(s); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	long := strings.Repeat("x", 32)
	for text, want := range map[string]policy{
		// RFC 8461 section 3.2
		"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n": {Enforce, 7 * day},
		// Appendix A
		"version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: mx2.example.com\nmx: mx.backup-example.com\nmax_age: 1296000": {Enforce, 15 * day},

		"max_age:0\nmode:none\nversion:STSv1":                                                             {None, 0},
		"version:\tSTSv1 \t\nmode:   testing  \r\nmx:a\nmax_age: 31557600 \n":                             {Testing, maxMaxAge * time.Second},
		"version: STSv1\nmode: none\nmode: enforce\nmode: x\nmax_age: 1\nmax_age: x\nversion: 2\n":        {None, time.Second},
		"version: STSv1\nmode: none\nmax_age: 0000000001\n" + long + ": ü b:c\nVersion: STSv2\nx_-.: 1\n": {None, time.Second},
		"version: STSv1\nmode: none\nmx: MX.Example.org\nmax_age: 1":                                      {None, time.Second},
	} {
		if got, err := parsePolicy([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                               `line 1 of the policy: invalid line "": must be key: value`,
		"\n":                             "line 1",
		"version: STSv1\n\nmode: none\n": "line 2",
		"\ufeffversion: STSv1\nmode: none\nmax_age: 1":                "line 1",
		"version : STSv1\nmode: none\nmax_age: 1":                     "line 1",
		" version: STSv1\nmode: none\nmax_age: 1":                     "line 1",
		"version: STSv1\rmode: none\rmax_age: 1":                      "control characters",
		"version: STSv1\r\r\nmode: none\nmax_age: 1":                  "control characters",
		"version: STSv2\nmode: none\nmax_age: 1":                      `line 1 of the policy: unknown version "STSv2": must be STSv1`,
		"version: STSv1\nmode: Enforce\nmx: a\nmax_age: 1":            `line 2 of the policy: unknown mode "Enforce": must be`,
		"version: STSv1\nmode: unknown\nmx: a\nmax_age: 1":            "line 2",
		"version: STSv1\nmode:\nmx: a\nmax_age: 1":                    "missing value of mode",
		"version: STSv1\nmode: none\nmax_age: 31557601":               "line 3",
		"version: STSv1\nmode: none\nmax_age: -1":                     "line 3",
		"version: STSv1\nmode: none\nmax_age: +1":                     "line 3",
		"version: STSv1\nmode: none\nmax_age: 00000000001":            "line 3",
		"version: STSv1\nmode: none\nmax_age: 1_0":                    "line 3",
		"version: STSv1\nmode: none\nmax_age: 1 week":                 "line 3",
		"mode: none\nmax_age: 1":                                      "missing version",
		"version: STSv1\nmax_age: 1\nmx: a":                           "missing mode",
		"version: STSv1\nmode: none":                                  "missing max_age",
		"version: STSv1\nmode: enforce\nmax_age: 1":                   "missing mx",
		"version: STSv1\nmode: testing\nmax_age: 1":                   "missing mx",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: *":            "line 4",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.*.b":        "line 4",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: *.*.b":        "line 4",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: .example.org": "line 4",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: example.org.": "line 4",
		"version: STSv1\nmode: enforce\nmax_age: 1\nmx: a\nmx: b b":   "line 5",
		"version: STSv1\nmode: none\nmax_age: 1\nx" + long + ": 1":    "line 4",
		"version: STSv1\nmode: none\nmax_age: 1\n_x: 1":               "line 4",
		"version: STSv1\nmode: none\nmax_age: 1\nx: a\x00b":           "line 4",
		"version: STSv1\nmode: none\nmax_age: 1\nx: \xff":             "UTF-8",
		"<!DOCTYPE html>\n<html>":                                     "line 1",
	} {
		if got, err := parsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || got != (policy{}) {
			t.Errorf("%q: %+v, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"", enforce(day), policyText("none", 0), "version: STSv1\nmode: none\nmax_age: 31557600\nx: ü", "mx: *.a\r\n\r\n", "a:b\rc:d", ":", "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePolicy(text)
		if err != nil {
			if p != (policy{}) {
				t.Errorf("%+v and %v", p, err)
			}
			return
		}
		if !slices.Contains([]State{None, Testing, Enforce}, p.mode) || p.maxAge < 0 || p.maxAge > maxMaxAge*time.Second {
			t.Errorf("%+v", p)
		}
		// What comes behind changes nothing, if it is not a line of its own.
		again, err := parsePolicy(append([]byte(strings.TrimSuffix(string(text), "\n")), "\nmode: enforce\nmax_age: 1\nx: y\n"...))
		if err != nil || again != p {
			t.Errorf("%+v, %v; want %+v", again, err, p)
		}
	})
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", " id=a", " id=20160831085700Z;", "id=a;id=b", " x=y; id=a ;", ";;", "=", " id=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseRecord("v=STSv1;" + s)
		if (err == nil) != isPolicyID(id) || !strings.Contains(s, id) {
			t.Errorf("%q: %q, %v", s, id, err)
		}
	})
}

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.org", "a..b", "*.a", "ü", "1.2.3.4", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckDomain(s) == nil && (len(s) == 0 || strings.ContainsAny(s, " /@*_:")) {
			t.Errorf("%q is accepted", s)
		}
	})
}

package tlsrpt

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// readSample returns the JSON of a report.
func readSample(t testing.TB, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata/reports", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var (
	dayStart = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	dayEnd   = time.Date(2026, 11, 27, 23, 59, 59, 0, time.UTC)
)

// TestForms has the forms of reports that real senders write, with other names and addresses.
func TestForms(t *testing.T) {
	for name, want := range map[string]Report{
		"rfc": {Organization: "Sender Example", Contact: "postmaster@sender.example", ID: "2026-11-27/1", Start: dayStart, End: dayEnd, Policies: []Policy{{
			Type: "sts", Domain: "example.org", Strings: []string{"version: STSv1", "mode: enforce", "mx: *.mail.example.org", "max_age: 86400"},
			MX: []string{"*.mail.example.org"}, Successes: 5326, Failures: 303, Details: []Failure{
				{Result: "certificate-expired", Sender: netip.MustParseAddr("2001:db8:abcd:12::1"), MX: "mx1.mail.example.org", Sessions: 100},
				{Result: ResultNoSTARTTLS, Sender: netip.MustParseAddr("2001:db8:abcd:13::1"), MX: "mx2.mail.example.org", Receiver: netip.MustParseAddr("203.0.113.56"),
					Sessions: 200, Info: "https://sender.example/report?id=1#NoSTARTTLS"},
				{Result: "validation-failure", Sender: netip.MustParseAddr("198.51.100.62"), MX: "mx-backup.mail.example.org", Receiver: netip.MustParseAddr("203.0.113.58"),
					Sessions: 3, Reason: "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"},
			}}}},
		"successes-only": {Organization: "Large Mail Inc.", Contact: "tls-reports@large.example", ID: "2026-11-27T00:00:00Z_example.org", Start: dayStart, End: dayEnd,
			Policies: []Policy{{Type: "no-policy-found", Domain: "example.org", Successes: 3}}},
		"without-addresses": {Organization: "Portal", Contact: "tls@portal.example", ID: "0f4c@portal.example", Start: dayStart, End: dayEnd.Add(time.Second),
			Policies: []Policy{{Type: "sts", Domain: "example.org", Failures: 3, Details: []Failure{
				{Result: "sts-policy-fetch-error", Sessions: 1, Reason: "bad status of the policy host: 404"}, {Result: ResultNoSTARTTLS, Sessions: 2}}}}},
		"empty-fields": {Organization: "Reporter Example", ID: "20261127", Start: dayStart, End: dayEnd, Policies: []Policy{
			{Type: "sts", Domain: "example.org", Failures: 1, Details: []Failure{{Result: "sts-policy-fetch-error", Sessions: 1, Info: `{"host":"mta-sts.example.org"}`},
				{Result: ResultNoSTARTTLS, Sender: netip.MustParseAddr("192.0.2.7"), Sessions: 7}}},
			{Type: "tlsa", Domain: "example.org", Strings: []string{"3 1 1 0000"}}}},
		"draft": {Organization: "Old Example", Contact: "old@old.example", ID: "d-1", Start: dayStart, End: dayEnd, Policies: []Policy{{Type: "sts", Domain: "example.org",
			Strings: []string{"version: STSv1"}, MX: []string{"*.mail.example.org"}, Successes: 40, Failures: 2,
			Details: []Failure{{Result: ResultNoSTARTTLS, Sender: netip.MustParseAddr("192.0.2.8"), Sessions: 2, Reason: "502"}}}}},
		"flat-policies": {Organization: "Flat Example", ID: "f", Start: dayStart, End: dayEnd.Add(time.Second), Policies: []Policy{{Type: "sts", Domain: "example.org",
			Successes: 1, Failures: 1, Details: []Failure{{Result: ResultNoSTARTTLS, Sender: netip.MustParseAddr("192.0.2.9"), MX: "mx.example.org", Sessions: 1}}}}},
	} {
		got, err := Parse(readSample(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, *got, want)
		}
	}
}

// TestBounds checks that a report cannot take more than its share.
func TestBounds(t *testing.T) {
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	details := fmt.Sprintf(`{"policies":[{"failure-details":[%s]},{"failure-details":[%[1]s]}]}`, repeat(`{"result-type":"x"}`, maxDetails/2+10))
	r, err := Parse([]byte(details))
	if err != nil || r.Skipped != 20 || len(r.Policies[0].Details)+len(r.Policies[1].Details) != maxDetails {
		t.Errorf("failures: %v, %+v", err, r.Skipped)
	}
	r, err = Parse([]byte(`{"policies":[` + repeat(`{}`, maxPolicies+7) + `]}`))
	if err != nil || r.Skipped != 7 || len(r.Policies) != maxPolicies {
		t.Errorf("policies: %v, %+v", err, r)
	}
	long := strings.Repeat("ä", 1<<20)
	r, err = Parse([]byte(`{"organization-name":"` + long + `","policies":[{"mx-host":[` + repeat(`"mx"`, 1000) + `],"failure-details":[{"result-type":"` + long + `"}]}]}`))
	if err != nil || len(r.Organization) > maxString || len(r.Policies[0].MX) > maxStrings || len(r.Policies[0].Details[0].Result) > maxString {
		t.Errorf("strings: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for doc, want := range map[string]string{
		"":                            "empty",
		"{":                           "1:2: the report ends too early",
		"{\n \"policies\": [{},]}":    "2:18: invalid JSON",
		"{}":                          "it has no policies",
		"[]":                          "1:1: no TLS report: array where an object belongs",
		`{"policies":[]} x`:           "1:16: text after the end",
		`{"policies":[3]}`:            "number where an object belongs",
		strings.Repeat("[", 1000):     "1:17: more than 16 levels",
		`{"date-range":"2026-11-27"}`: "string where an object belongs",
	} {
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", doc, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/reports/*.json")
	if err != nil || len(samples) == 0 {
		f.Fatal(err)
	}
	for _, name := range samples {
		doc, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := Parse(doc)
		if err != nil {
			return
		}
		checkBounds(t, r)
	})
}

// checkBounds fails the test if a report has more than it may have.
func checkBounds(t *testing.T, r *Report) {
	details := 0
	for _, p := range r.Policies {
		details += len(p.Details)
		for _, d := range p.Details {
			if len(d.Result)+len(d.Info)+len(d.Reason)+len(d.MX) > 4*maxString+100 || d.Sessions < 0 || d.Sessions > maxCount || d.Sender.Zone() != "" || d.Sender.Is4In6() {
				t.Fatalf("impossible failure %+v", d)
			}
		}
		if len(p.Strings) > maxStrings || len(p.MX) > maxStrings || p.Successes < 0 || p.Failures < 0 {
			t.Fatalf("impossible policy %+v", p)
		}
	}
	if details > maxDetails || len(r.Policies) > maxPolicies || r.Start.After(r.End) || len(r.ID) > maxString {
		t.Fatal("more than the bounds allow")
	}
}

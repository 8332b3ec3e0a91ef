package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const key = "k3yaip7yig6sahg6ehsohn5shc"

// TestTextIsNeverPrinted checks all verbs of fmt, in fields that fmt may call and in those that it may not, and JSON.
func TestTextIsNeverPrinted(t *testing.T) {
	text := New(key+".zen.dq.example", "zen")
	type exported struct{ T Text }
	type hidden struct{ t Text }
	values := []any{text, &text, []Text{text}, map[Text]Text{text: text}, map[string]any{"a": text}, exported{text}, &exported{text},
		hidden{text}, &hidden{text}, []hidden{{text}}, []*exported{{text}}, [1]any{hidden{text}}, errors.New(fmt.Sprint("zone ", text)),
		fmt.Errorf("zone %w", fmt.Errorf("%v", hidden{text})), reflect.ValueOf(text), reflect.ValueOf(hidden{text}).Field(0)}
	flags := []string{"", "+", "#", "-", " ", "0", "40", ".40", "+#40.40"}
	for _, v := range values {
		for verb := range rune(0x7f) {
			for _, f := range flags {
				if got := fmt.Sprintf("%"+f+string(verb), v); strings.Contains(got, key) || strings.Contains(got, fmt.Sprintf("%x", key)) {
					t.Errorf("%%%s%c of %T: %s", f, verb, v, got)
				}
			}
		}
		if b, err := json.Marshal(v); strings.Contains(string(b), key) {
			t.Errorf("JSON of %T: %s, %v", v, b, err)
		}
	}
	for format, want := range map[string]string{"%s": "zen", "%v": "zen", "%q": `"zen"`, "%#v": `"zen"`, "%x": "7a656e", "%5s": "  zen"} {
		if got := fmt.Sprintf(format, text); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
	if b, err := json.Marshal(exported{text}); string(b) != `{"T":"zen"}` || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	if text.Reveal() != key+".zen.dq.example" || (Text{}).Reveal() != "" || !(Text{}).IsZero() || text.IsZero() {
		t.Error("the secret is lost")
	}
	if other := New(key+".zen.dq.example", "other"); text == other || !text.HasSameSecret(other) || text.HasSameSecret(New("x", "zen")) {
		t.Error("texts are compared by the wrong part")
	}
	var read Text
	if err := json.Unmarshal([]byte(`"zen"`), &read); err != nil || read.String() != "zen" {
		t.Errorf("read %v, %v", read, err)
	}
}

// TestMask has domains of public lists, which must stay as they are, and such with a key.
func TestMask(t *testing.T) {
	for domain, want := range map[string]string{
		"list.dnswl.org": "", "zen.spamhaus.org": "", "hostkarma.junkemailfilter.com": "", "reputation-ip.rbl.scrolloutf1.com": "",
		"0spam-killlist.fusionzero.com": "", "ips.backscatterer.org": "", "all.spamrats.com": "", "score.senderscore.com": "",
		"dnsbl-1.uceprotect.net": "", "b.barracudacentral.org": "", "bl.spamcop.net": "", "wl.mailspike.net": "",
		"truncate.gbudb.net": "", "psbl.surriel.com": "", "example": "", "": "", "0123456789abcdef0123.example": "",
		key + ".zen.dq.spamhaus.net":                                 "***.zen.dq.spamhaus.net",
		"0123456789abcdef0123456789abcdef.combined.mail.abusix.zone": "***.combined.mail.abusix.zone",
		"123e4567-e89b-12d3-a456-426614174000.zen.dq.example":        "***.zen.dq.example",
		"abcdefghijklmnopqrstuvwxyz.zen.dq.example":                  "***.zen.dq.example", // a key may have no digit
	} {
		if want == "" {
			want = domain
		}
		if got := MaskDomain(domain); got != want {
			t.Errorf("%s is shown as %s, want %s", domain, got, want)
		}
	}
	for text, want := range map[string]string{
		"reject_rbl_client " + key + ".zen.dq.example=127.0.0.[2..11], permit":           "reject_rbl_client ***.zen.dq.example=127.0.0.[2..11], permit",
		"smtpd_recipient_restrictions at /etc/ssl/certs/mail-2026-11-28-new.pem":         "",
		"memcache:/tmp/TestMissingExample2630069056/001/a.b.c":                           "",
		"dnsbl_sites=" + key + ".a.b.example*2," + key + ".c.d.example:x":                "dnsbl_sites=***.a.b.example*2,***.c.d.example:x",
		`invalid file name "https://user:` + key + `@feeds.example/a?token=` + key + `"`: `invalid file name "https://user:***@feeds.example/a?token=***"`,
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6":                               "",
		"check_policy_service { inet:127.0.0.1:10043, timeout=2s }":                      "",
	} {
		if want == "" {
			want = text
		}
		if got := MaskText(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
	for line, want := range map[string]string{
		`zones = [{zone = "short1.zen.dq.example", answr = "127.0.0.4"}]`:        `zones = [{zone = "******.***.dq.example", answr = "127.0.0.4"}]`,
		`zones = [{answer = "127.0.0.4", zone='short1.dq.example', name = "x"}]`: `zones = [{answer = "127.0.0.4", zone='******.dq.example', name = "x"}]`,
		`zones = [{zone = short1.zen.dq.example, weight = 2}]`:                   `zones = [{zone = ******.***.dq.example, weight = 2}]`,
		`"zone" = "short1.zen.dq.example`:                                        `"zone" = "******.***.dq.example`,
		`zone = "list.example" # ` + key:                                         `zone = "list.example" # ` + strings.Repeat("*", len(key)),
		`Zone="short1.zen.dq.example"`:                                           `Zone="******.***.dq.example"`,
		`zones=["short1.zen.dq.example", "b.dq.test"]`:                           `zones=["******.***.dq.example", "*.dq.test"]`,
		`  "short1.zen.dq.example",`:                                             `  "******.***.dq.example",`,
		`{zone="a.test", name="z"} # short1.a.dq.test`:                           `{zone="a.test", name="z"} # ******.*.dq.test`,
		`url = "https://a.test/?k=123e4567-e89b-12d3-a456-426614174000"`:         `url = "https://a.test/?k=` + strings.Repeat("*", 36) + `"`,
		`hosts = ["mx1.mail.example.org"]`:                                       `hosts = ["mx1.mail.example.org"]`,
		`zone = "bl.test", answer = "127.0.0.4"`:                                 `zone = "bl.test", answer = "127.0.0.4"`,
		"files = [\"a.list\"]\t# as it was":                                      "files = [\"a.list\"]\t# as it was",
		`zones = [`:                                                              `zones = [`,
	} {
		if got := MaskLine(line); got != want {
			t.Errorf("%s is shown as %s, want %s", line, got, want)
		}
	}
}

func FuzzMaskLine(f *testing.F) {
	f.Add(`zone = "`, `.zen.dq.example"}]`)
	f.Add(`x = '`, `'`)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		if word.MatchString(before[max(len(before)-1, 0):]) || word.MatchString(after[:min(len(after), 1)]) {
			return // the key is a part of another word
		}
		line := before + key + after
		if got := MaskLine(line); strings.Contains(got, key) || len(got) != len(line) {
			t.Errorf("%q is shown as %q", line, got)
		}
	})
}

package mtatest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestVerboseTable has smtpd log in detail about clients while it has an exported table in blocks, as the documents advise in
// place of smtpd -v, which Postfix before 3.12 does not survive.
func TestVerboseTable(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	x := newExported(t, "offer")
	var table strings.Builder
	for i := range 40 { // more than a block of rules
		fmt.Fprintf(&table, "127.0.0.%d\n", 10+2*i)
	}
	if err := os.WriteFile(filepath.Join(x.dir, "deny.list"), []byte(table.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	exported := x.runExport(t, "export", "--format", "postfix-cidr")
	if !strings.Contains(exported, "\nif ") {
		t.Fatalf("no blocks:\n%s", exported)
	}
	dir := tempDir(t)
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: dir, Main: "debug_peer_list = 127.0.0.0/8\n", Files: map[string]string{"ehlogate.cidr": exported},
		Services: []mtatest.Service{{Name: "mx", Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": "cidr:$config_directory/ehlogate.cidr"}}},
	})
	for client, offered := range map[string]bool{"127.0.0.10": false, "127.0.0.88": false, "127.0.0.11": true} {
		s, err := mtatest.Session(soon(t), p.Addr("mx"), client, "client.example")
		if err != nil || s.Reply.Offers("STARTTLS") != offered {
			t.Errorf("%s: %v, %v; want STARTTLS offered: %v", client, s.Reply, err, offered)
		}
	}
	if text := p.Maillog().Tail(500); !strings.Contains(text, "smtpd_discard_ehlo_keyword_address_maps") {
		t.Errorf("smtpd logged no detail:\n%s", text)
	}
}

package doctor

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// TestOpenSSLIncludes compares what doctor says of files that include others, as on systems with crypto-policies, with
// what OpenSSL does: a client that may speak TLS 1.0 at most sends its greeting, or an alert.
func TestOpenSSLIncludes(t *testing.T) {
	testenv.Needs(t, "openssl")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"strict": "TLS.MinProtocol = TLSv1.2\nTLS.MaxProtocol = TLSv1.3\n", "lax": "TLS.MinProtocol = TLSv1\n", "through": ".include = DIR/strict\n",
		"section": "[all]\nMinProtocol = TLSv1.2\n", "loop": ".include = DIR/loop\nMinProtocol = TLSv1.2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for setting, want := range map[string]bool{
		"[all]\n.include = DIR/strict\n": true, "[all]\n.include DIR/strict\n": true, "[all]\n  .include=DIR/through  \n": true, "[all]\n.include = DIR/lax\n": false,
		"[all]\nMinProtocol = TLSv1\n.include = DIR/strict\n": true, "[all]\n.include = DIR/strict\nMinProtocol = TLSv1\n": false,
		".include = DIR/section\n": true, "[other]\n.include = DIR/strict\n[all]\nMinProtocol = TLSv1\n": false,
		"[all]\n#.include = DIR/strict\nMinProtocol = TLSv1\n": false, "[all]\nMinProtocol = TLSv1\n.include = DIR/missing\n": false,
	} {
		file := filepath.Join(dir, "openssl.cnf")
		text := "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n" + strings.ReplaceAll(setting, "DIR", dir)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", l.Addr().String(), "-max_protocol", "TLSv1", "-cipher", "DEFAULT:@SECLEVEL=0")
		cmd.Env = append(os.Environ(), "OPENSSL_CONF="+file)
		out := make(chan string)
		go func() { text, _ := cmd.CombinedOutput(); out <- string(text) }()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		record := make([]byte, 1)
		_, _ = c.Read(record)
		c.Close()
		const handshake = 22 // 21: an alert
		if said := <-out; (record[0] != handshake) != want {
			t.Errorf("%q: OpenSSL sends a record of type %d; want TLS 1.0 refused: %v\n%s", setting, record[0], want, said)
		}
		if _, got := (&exam{host: ThisHost(false)}).opensslRefusesTLS10(file); got != want {
			t.Errorf("%q: doctor says %v, want %v", setting, got, want)
		}
	}
	if got, want := (&exam{host: ThisHost(false)}).readOpenSSL(filepath.Join(dir, "loop")), "\nMinProtocol = TLSv1.2\n"; got != want {
		t.Errorf("a file that includes itself: got %q, want %q", got, want)
	}
}

// The values are those of postconf(5), and of TestConfigurations, which has real servers.
func TestIncludesTLS10(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, ">=TLSv1": true, ">=SSLv3": true, ">= TLSv1": true, ">=0301": true, ">=0300, <=0303": true, "!SSLv2, !SSLv3": true,
		"TLSv1": true, "TLSv1.2 TLSv1": true, "tlsv1:TLSv1.1": true, "!TLSv1.1": true, "<=TLSv1": true,
		">=TLSv1.1": false, ">=TLSv1.2, <=TLSv1.3": false, ">=0302": false, "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1": false, "TLSv1.2, TLSv1.3": false,
		"!tlsv1": false, "<=SSLv3": false, "TLSv1, !TLSv1": false,
	} {
		if got := includesTLS10(value); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func FuzzParseSections(f *testing.F) {
	f.Add("[overrides]\ndisabled-version = tls1.0\n")
	f.Add("openssl_conf = a\n[ a ]\nssl_conf = b # c\n[b\n= x\n[]\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseSections(text) {
			if len(s.key)+len(s.value) > len(text) {
				t.Errorf("%q: got %+v", text, s)
			}
		}
	})
}

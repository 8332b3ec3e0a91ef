package benchmarks

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

func init() { peers["postfix-memcache-echo"] = memcacheEcho }

// memcacheEcho suppresses every client with an address that ends in an even digit, without a look at anything else. Postfix takes
// an answer only under its own key, so that is all it repeats.
func memcacheEcho(args []string) error {
	syscall.Umask(0) // the smtpd that connects is not root
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			var reply []byte
			for {
				line, err := r.ReadSlice('\n')
				if err != nil || len(line) < len("get k\r\n") {
					return
				}
				key := line[len("get ") : len(line)-len("\r\n")]
				reply = reply[:0]
				if key[len(key)-1]%2 == 0 {
					reply = append(append(append(reply, "VALUE "...), key...), " 0 8\r\nstarttls\r\n"...)
				}
				if _, err := conn.Write(append(reply, "END\r\n"...)); err != nil {
					return
				}
			}
		}()
	}
}

// source is the address from which session i comes: one of 200, of which the even ones are denied.
func source(i int) string { return fmt.Sprintf("127.0.0.%d", 10+i%200) }

// session is what a client does after it has connected and read the banner, up to QUIT.
type session func(c *mtatest.SMTP) error

// ehlo expects exactly this reply to EHLO.
func ehlo(want []string) session {
	return func(c *mtatest.SMTP) error {
		r, err := c.EHLO("client.example")
		if err == nil && (r.Code != 250 || !slices.Equal(r.Text, want)) {
			err = fmt.Errorf("reply to EHLO: %v, expected %s", r, strings.Join(want, " | "))
		}
		return err
	}
}

// starttls makes a whole handshake, as with a server that is new to the client.
func starttls(c *mtatest.SMTP) error {
	r, state, err := c.STARTTLS()
	if err != nil {
		return err
	}
	if r.Code != 220 || state.Version != tls.VersionTLS13 || state.DidResume {
		return fmt.Errorf("STARTTLS: %v, %s, resumed %t", r, tls.VersionName(state.Version), state.DidResume)
	}
	if key, ok := state.PeerCertificates[0].PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 {
		return fmt.Errorf("the certificate's key is %T, and none of RSA-2048", state.PeerCertificates[0].PublicKey)
	}
	return nil
}

// deliver hands over a message of a few lines.
func deliver(c *mtatest.SMTP) error {
	r, err := c.Deliver("sender@example.org", "box@mta.test", "Subject: bench\n\n"+strings.Repeat("A line of text.\n", 20))
	if err == nil && r.Code != 250 {
		err = fmt.Errorf("delivering: %v", r)
	}
	return err
}

// playSessions connects, does all steps, and takes leave.
func playSessions(ctx context.Context, addr, source string, steps ...session) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := mtatest.Dial(ctx, addr, source)
	if err != nil {
		return err
	}
	defer c.Close()
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		return fmt.Errorf("banner: %v, %v", r, err)
	}
	for _, step := range steps {
		if err := step(c); err != nil {
			return err
		}
	}
	if r, err := c.Quit(); err != nil || r.Code != 221 {
		return fmt.Errorf("QUIT: %v, %v", r, err)
	}
	return nil
}

// one is a session that comes from address i and expects STARTTLS shown or hidden, as it should be.
type one func(ctx context.Context, i int) error

// short is EHLO and QUIT. With a map, the denied half is not shown STARTTLS.
func (p *postfix) short(service string) one {
	return func(ctx context.Context, i int) error {
		want := p.offered
		if service != "plain" && i%2 == 0 {
			want = p.hidden
		}
		return playSessions(ctx, p.Addr(service), source(i), ehlo(want))
	}
}

// unlisted is EHLO and QUIT of a client that no list names.
func (p *postfix) unlisted(service string) one {
	return func(ctx context.Context, i int) error {
		return playSessions(ctx, p.Addr(service), source(2*i+1), ehlo(p.offered))
	}
}

// suppressed is a session of a denied client of ours, with more steps behind EHLO.
func (p *postfix) suppressed(more ...session) one {
	return func(ctx context.Context, i int) error {
		return playSessions(ctx, p.Addr("daemon"), source(2*i), append([]session{ehlo(p.hidden)}, more...)...)
	}
}

// encrypted is a session with TLS, where there is no map.
func (p *postfix) encrypted(more ...session) one {
	return func(ctx context.Context, i int) error {
		return playSessions(ctx, p.Addr("plain"), source(2*i), append([]session{ehlo(p.offered), starttls, ehlo(p.hidden)}, more...)...)
	}
}

// rsaCert makes a self-signed certificate with a key of RSA-2048, both in one text.
func rsaCert(t *testing.T) string { return rsaCertOf(t, 2048) }

// rsaCertOf is rsaCert with a key of so many bits.
func rsaCertOf(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mx.mta.test"},
		DNSNames:     []string{"mx.mta.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// commandName is the name of a process.
func commandName(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(string(name))
}

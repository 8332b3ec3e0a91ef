package mtatest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"regexp"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// rejectsLater returns an act that makes a handshake of TLS 1.3 and then sends an alert. crypto/tls sends none but
// close_notify there, so that the record is made here (RFC 8446 section 5.2), of the secret that the client logs.
func rejectsLater(number byte) act {
	return func(c *mtatest.SMTP) error {
		var secrets bytes.Buffer
		state, err := c.HandshakeWith(clientConfig(func(config *tls.Config) {
			onlyVersion(tls.VersionTLS13)(config)
			config.KeyLogWriter = &secrets
		}))
		if err != nil {
			return err
		}
		hash, size := sha256.New, 16
		switch state.CipherSuite {
		case tls.TLS_AES_128_GCM_SHA256:
		case tls.TLS_AES_256_GCM_SHA384:
			hash, size = sha512.New384, 32
		default:
			return fmt.Errorf("no code for %s", tls.CipherSuiteName(state.CipherSuite))
		}
		found := regexp.MustCompile(`CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)`).FindSubmatch(secrets.Bytes())
		secret := make([]byte, len(found[1])/2)
		if _, err := hex.Decode(secret, found[1]); err != nil {
			return err
		}
		expand := func(label string, n int) []byte {
			info := append([]byte{0, byte(n), byte(6 + len(label))}, "tls13 "+label+"\x00"...)
			out, _ := hkdf.Expand(hash, secret, string(info), n) // an error is a length that is too large
			return out
		}
		block, err := aes.NewCipher(expand("key", size))
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		inner := []byte{2, number, recordAlert}
		head := []byte{recordData, 3, 3, 0, byte(len(inner) + aead.Overhead())}
		if _, err := c.Conn().Write(append(head, aead.Seal(nil, expand("iv", 12), inner, head)...)); err != nil {
			return err
		}
		return awaitsEnd(c)
	}
}

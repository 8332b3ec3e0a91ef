package replay

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"sync"
	"time"
)

// handshakeCost returns what measureHandshake returned first.
var handshakeCost = sync.OnceValue(measureHandshake)

// measureHandshake measures what a handshake costs a server on this machine: a signature with a key of RSA 2048 and an
// agreement on a key by X25519, which take nearly all of it (RFC 8446 section 2).
func measureHandshake() time.Duration {
	const rounds = 20
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0
	}
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return 0
	}
	digest := sha256.Sum256(nil)
	best := time.Hour
	for range rounds {
		begin := time.Now()
		_, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil)
		own, err2 := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil || err2 != nil {
			return 0
		}
		if _, err := own.ECDH(peer.PublicKey()); err != nil {
			return 0
		}
		best = min(best, time.Since(begin))
	}
	return best
}

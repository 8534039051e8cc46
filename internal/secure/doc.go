// Package secure has the credentials of a secure ring, and the TLS that carries them.
//
// The ring's key signs an [Admission] for each incarnation of a node. A node proves by TLS that
// it holds the admission's key. The registry proves by TLS that it holds the ring's key. A node
// that has no admission yet proves a secret, which its join line holds (see [JoinProof]).
//
// Keys are Ed25519, connections TLS 1.3. All cryptography is the standard library's. There is no
// chain of certificates, no name in them, and no time: a certificate carries a public key and one
// extension, and [Trust] decides.
//
//   - admission.go, gone.go, succession.go: what the ring's key signs, byte by byte.
//   - joinline.go: what a node needs to join.
//   - trust.go: which keys a side believes.
//   - certificate.go, tls.go, proof.go: how they travel, and what a connection has proven.
//   - conn.go, reader.go: TLS for links, which no other end can hold up.
//
// Records and trust are pure: no clock, no lock, no I/O. PROTOCOL.md has the layouts.
package secure

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// Key is a public key of Ed25519.
type Key [ed25519.PublicKeySize]byte

// KeyOf returns the public key of a private one.
func KeyOf(private ed25519.PrivateKey) Key {
	return Key(private.Public().(ed25519.PublicKey))
}

// Pin returns the first 16 bytes of the key's SHA-256, which a join line has.
func (k Key) Pin() Pin {
	sum := sha256.Sum256(k[:])
	return Pin(sum[:len(Pin{})])
}

// String returns the first 8 digits of the key's pin, for people.
func (k Key) String() string {
	pin := k.Pin()
	return hex.EncodeToString(pin[:4])
}

// Pin stands for a key that is not known yet.
type Pin [16]byte

// Text returns bytes as control messages carry them: in base64, URL alphabet, without padding.
func Text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Bytes returns the bytes of such a text. A text of more than most bytes is an error, before
// anything is decoded.
func Bytes(text string, most int) ([]byte, error) {
	if base64.RawURLEncoding.DecodedLen(len(text)) > most {
		return nil, errLong
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

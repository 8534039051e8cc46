package handshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// ProbeAnswer is what a node with a token answers to a probe that carries a nonce: the first eight
// bytes of HMAC-SHA256, with the token as the key. So a registry that was told the token finds out
// whether the process at an address has it, and any other that probes learns nothing. Rejected: the
// token itself as the answer, with which a stranger can pose as the member.
func ProbeAnswer(token, nonce uint64) uint64 {
	var key, message [8]byte
	binary.BigEndian.PutUint64(key[:], token)
	binary.BigEndian.PutUint64(message[:], nonce)
	h := hmac.New(sha256.New, key[:])
	h.Write(message[:])
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// ProbeNonce draws the nonce of a probe. No node can know it in advance.
func ProbeNonce() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

package secure_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/secure"
)

// sealer makes records of TLS 1.3 as an attacker likes them.
type sealer struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

// newSealer begins behind a handshake, from the line of its key log for the dialling side.
func newSealer(t *testing.T, suite uint16, log string) *sealer {
	t.Helper()
	var secret []byte
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, _ = hex.DecodeString(f[2])
		}
	}
	var h func() hash.Hash = sha256.New
	length := 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		h, length = sha512.New384, 32
	default:
		t.Skip("TLS chose ", tls.CipherSuiteName(suite), ", which this test cannot seal")
	}
	expand := func(label string, n int) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(append(info, byte(len("tls13 "+label))), "tls13 "+label+"\x00"...)
		b, err := hkdf.Expand(h, secret, string(info), n)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := aes.NewCipher(expand("key", length))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{aead: aead, iv: expand("iv", 12)}
}

// record seals the body of a record of a type.
func (s *sealer) record(kind byte, body ...byte) []byte {
	nonce := append([]byte(nil), s.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	plain := append(body, kind)
	header := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(plain)+s.aead.Overhead()))
	return s.aead.Seal(header, nonce, plain, header)
}

// An answer to a request for new keys is written by the goroutine that reads. Were it written to an end
// that does not read, neither a deadline nor a lease would end that.
func TestKeyUpdateDoesNotHoldTheReader(t *testing.T) {
	for _, late := range []time.Duration{0, 100 * time.Millisecond} { // 0: just when the reader has it
		t.Run("without a writer", func(t *testing.T) { askForKeys(t, false, late) })
		t.Run("with a writer that waits", func(t *testing.T) { askForKeys(t, true, late) })
	}
}

func askForKeys(t *testing.T, writes bool, late time.Duration) {
	_, key, _ := ed25519.GenerateKey(nil)
	cert, err := secure.Certificate(key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	side := secure.Side{
		Certificate: func(context.Context, string) (*tls.Certificate, error) { return cert, nil },
		Check:       func(*tls.ConnectionState) error { return nil },
	}
	near, far := net.Pipe() // which keeps no byte that is not read
	defer near.Close()
	var log strings.Builder
	config := side.Client(secure.Protocol)
	config.KeyLogWriter = &log
	attacker, victim := tls.Client(near, config), secure.NewServer(far, side.Server(secure.Protocol))
	defer victim.Close()
	shaken := make(chan error, 1)
	go func() { shaken <- attacker.Handshake() }()
	if err := errors.Join(victim.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	s := newSealer(t, attacker.ConnectionState().CipherSuite, log.String())
	var writing sync.WaitGroup
	defer writing.Wait()
	defer victim.Close()
	if writes {
		writing.Go(func() { victim.Write(make([]byte, 100)) })
		near.Read(make([]byte, 1)) // it is on its way, and gets no further
	}
	ask, data := s.record(22, 24, 0, 0, 1, 1), s.record(23, 0) // KeyUpdate, update_requested
	go func() {
		near.Write(ask)
		victim.SetReadDeadline(time.Now().Add(late)) // it has read that
		near.Write(data)
	}()
	ended := make(chan error, 1)
	go func() {
		_, err := victim.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, secure.ErrKeyUpdate) {
			t.Errorf("%v, and not the reason", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the reader waits for a writer that waits for the other end")
	}
}

// Records of this side are never taken for such an answer, of any length.
func TestNoRecordIsTakenForAKeyUpdate(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	cert, err := secure.Certificate(key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	side := secure.Side{
		Certificate: func(context.Context, string) (*tls.Certificate, error) { return cert, nil },
		Check:       func(*tls.ConnectionState) error { return nil },
	}
	near, far := net.Pipe()
	client, server := secure.NewClient(near, side.Client(secure.Protocol)), secure.NewServer(far, side.Server(secure.Protocol))
	defer client.Close()
	defer server.Close()
	const most = 16
	total := 0
	for n := 1; n <= most; n++ {
		total += 3*n + 1<<14
	}
	go func() {
		defer server.Close()
		for n := 1; n <= most; n++ {
			b := make([]byte, n+1<<14)
			_, err1 := server.Write(b[:n])
			err2 := server.WriteBuffers([][]byte{b})
			err3 := server.WriteBuffers([][]byte{b[:n-1], b[:1]})
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Error(n, err)
				return
			}
		}
	}()
	if n, err := io.ReadFull(client, make([]byte, total)); err != nil {
		t.Fatalf("%d bytes of %d: %v", n, total, err)
	}
}

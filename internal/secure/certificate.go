package secure

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The extensions of a certificate: an admission in that of a member, the latest succession in
// that of a registry whose key has changed. The arc is one for experiments, without a
// registration.
var (
	oidAdmission  = asn1.ObjectIdentifier{1, 3, 6, 1, 3, 29001, 1}
	oidSuccession = asn1.ObjectIdentifier{1, 3, 6, 1, 3, 29001, 2}
)

// Certificate makes the self-signed certificate of a key. admission and succession may be nil.
// Names and times in it mean nothing.
func Certificate(key ed25519.PrivateKey, admission, succession []byte) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "no well-defined end", RFC 5280
	}
	for _, e := range []pkix.Extension{{Id: oidAdmission, Value: admission}, {Id: oidSuccession, Value: succession}} {
		if e.Value != nil {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Presented is what a certificate says. Nothing of it is checked but that TLS has proven the key.
type Presented struct {
	Key        Key
	Admission  []byte // nil for none
	Succession []byte // nil for none
}

// errCertificate is the error for a certificate that no side of a ring presents.
var errCertificate = errors.New("not a certificate of a ring")

// PresentedIn returns what the other end of a connection presented.
func PresentedIn(cs *tls.ConnectionState) (p Presented, err error) {
	if len(cs.PeerCertificates) != 1 {
		return p, fmt.Errorf("%w: %d certificates", errCertificate, len(cs.PeerCertificates))
	}
	leaf := cs.PeerCertificates[0]
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return p, fmt.Errorf("%w: its key is of type %s", errCertificate, leaf.PublicKeyAlgorithm)
	}
	p.Key = Key(key)
	for _, e := range leaf.Extensions {
		switch {
		case e.Id.Equal(oidAdmission):
			p.Admission = e.Value
		case e.Id.Equal(oidSuccession):
			p.Succession = e.Value
		}
	}
	return p, nil
}

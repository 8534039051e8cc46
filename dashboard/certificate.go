package dashboard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate returns a TLS configuration for the page of a secure ring, and the certificate's
// fingerprint: SHA-256, in hexadecimal digits. It makes the key and the self-signed certificate for
// some hosts, and keeps them in a file (dir/page.pem, readable by its user only), so that a browser
// asks once. With an empty dir they are the process's.
//
// The ring's own key is no use here: browsers know no Ed25519.
func Certificate(dir string, hosts ...string) (*tls.Config, string, error) {
	name := filepath.Join(dir, "page.pem")
	if dir != "" {
		switch text, err := os.ReadFile(name); {
		case err == nil:
			c, print, err := pageConfig(text)
			if err != nil {
				return nil, "", fmt.Errorf("the page's certificate in %s: %w: remove the file, and another one is made", name, err)
			}
			return c, print, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, "", fmt.Errorf("the page's certificate: %w", err)
		}
	}
	text, err := makeCertificate(hosts)
	if err != nil {
		return nil, "", fmt.Errorf("the page's certificate: %w", err)
	}
	if dir != "" {
		if err := writeFile(name, text); err != nil {
			return nil, "", fmt.Errorf("the page's certificate: %w", err)
		}
	}
	return pageConfig(text)
}

// writeFile replaces a file as a whole.
func writeFile(name string, text []byte) error {
	// A file or a link of that name, perhaps of another user, must not get the contents.
	os.Remove(name + ".tmp")
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

func pageConfig(text []byte) (*tls.Config, string, error) {
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(c.Certificate[0])
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c}}, fmt.Sprintf("%x", sum), nil
}

// makeCertificate returns a key and its certificate in PEM. It lasts for ten years: browsers show
// a warning for any self-signed one, and ask again when it has ended.
func makeCertificate(hosts []string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ringdht page"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0), // clocks need not agree
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

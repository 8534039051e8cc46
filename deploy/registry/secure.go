package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/x/ringdht"
	"github.com/x/ringdht/dashboard"
)

// securePage writes the join line of a secure ring to its file, and returns the options of its page:
// a login, and the line for browsers that have one. The login's key is in the file page-key, since a
// log is read by many. A new join line replaces the file.
func (c *config) securePage(at net.Addr, r *ringdht.Registry, log *slog.Logger) ([]dashboard.Option, error) {
	addr, err := c.joinAddress(at)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	lines := func(token ...uint32) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		line, err := r.JoinLine(addr, token...)
		if err == nil && len(token) == 0 {
			err = writePrivate(c.joinFile, line)
		}
		return line, err
	}
	if _, err := lines(); err != nil {
		return nil, fmt.Errorf("-join-file (RINGDHT_JOIN_FILE): %w", err)
	}
	keyFile := filepath.Join(c.private(), "page-key")
	key, err := loginKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the key of the page: %w", err)
	}
	log.Info("the ring is secure: nodes join with the line in a file, and the page asks for a key", "join", c.joinFile, "key", keyFile)
	return []dashboard.Option{dashboard.WithLogin(key), dashboard.WithJoinLine(lines)}, nil
}

// certificate makes the certificate of the page, which it keeps.
func (c *config) certificate(log *slog.Logger) func() (*tls.Config, error) {
	return func() (*tls.Config, error) {
		hosts := strings.Split(c.hosts, ",")
		if self, err := os.Hostname(); err == nil {
			hosts = append(hosts, self)
		}
		config, print, err := dashboard.Certificate(c.private(), hosts...)
		if err == nil {
			log.Info("the page has TLS with a self-signed certificate", "sha256", print)
		}
		return config, err
	}
}

// private returns the folder for what only operators may read: that of the state, or else that of
// the join line, which nodes may read.
func (c *config) private() string {
	if c.state != "" {
		return c.state
	}
	return filepath.Dir(c.joinFile)
}

// joinAddress returns the address of the registry for the join line.
func (c *config) joinAddress(at net.Addr) (string, error) {
	if c.advertise != "" {
		return c.advertise, nil
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("-advertise (RINGDHT_ADVERTISE) is needed: this machine has no name: %w", err)
		}
	}
	return net.JoinHostPort(host, port), nil
}

// loginKey returns the key in a file, which it makes if there is none. So a bookmark and a scraper
// keep their key when the registry restarts.
func loginKey(name string) (string, error) {
	text, err := os.ReadFile(name)
	key := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key = dashboard.NewLoginKey()
		return key, writePrivate(name, key)
	case err == nil && len(key) < 20:
		return "", fmt.Errorf("%s has a key of %d characters, too short to be safe: remove the file, and another key is made", name, len(key))
	}
	return key, err
}

// writePrivate replaces a file by one line that only this user may read.
func writePrivate(name, line string) error {
	// A file or a link of that name, perhaps of another user, must not get the contents.
	os.Remove(name + ".tmp")
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(line + "\n"))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

package deploy

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Metrics and probes of both services are served while their port is full of connections that say
// nothing, or a byte a second, which come again when they are closed. Afterwards the descriptors are
// given back.
func TestMetricsAmongSilentConnections(t *testing.T) {
	r := startRing(t, 1)
	for name, web := range map[string]string{"registry": r.web, "node": r.nodeWeb[0]} {
		t.Run(name, func(t *testing.T) {
			before := openFiles(t, web)
			end := besiege(t, strings.TrimPrefix(web, "http://"), 400, 40)
			for range 5 {
				for _, path := range []string{"/metrics", "/healthz"} {
					if _, err := fetch(web + path); err != nil {
						t.Errorf("%s under siege: %v", path, err)
					}
				}
			}
			if n := openFiles(t, web); n > before+300 {
				t.Errorf("%d descriptors under siege, %d before", n, before)
			}
			end()
			for deadline := time.Now().Add(time.Minute); openFiles(t, web) > before+2; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d descriptors after the siege, %d before", openFiles(t, web), before)
				}
			}
		})
	}
}

// besiege holds silent connections at a port, and slow ones that send a request byte by byte. It
// returns when each has been made once, and end ends all.
func besiege(t *testing.T, addr string, silent, slow int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg, made sync.WaitGroup
	made.Add(silent + slow)
	for i := range silent + slow {
		wg.Go(func() {
			first := sync.OnceFunc(made.Done)
			defer first()
			for ctx.Err() == nil {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				if err == nil {
					first()
					stop := context.AfterFunc(ctx, func() { conn.Close() })
					if i < slow {
						wg.Go(func() { drip(ctx, conn) })
					}
					io.Copy(io.Discard, conn) // until the other side closes it
					stop()
					conn.Close()
				}
				pause(ctx, time.Second)
			}
		})
	}
	made.Wait()
	return func() { cancel(); wg.Wait() }
}

// drip sends the beginning of a request, a byte a second.
func drip(ctx context.Context, conn net.Conn) {
	for _, b := range []byte("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n") {
		if _, err := conn.Write([]byte{b}); err != nil || !pause(ctx, time.Second) {
			return
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// fetch asks over a connection of its own, again if that was crowded out.
func fetch(url string) (text string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for range 10 {
		var resp *http.Response
		if resp, err = client.Get(url); err != nil {
			continue
		}
		var body []byte
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK {
			return string(body), nil
		}
		err = cmp.Or(err, fmt.Errorf("status %s", resp.Status))
	}
	return "", err
}

var openFds = regexp.MustCompile(`(?m)^process_open_fds (\d+)`)

// openFiles is how many descriptors a service has, by its own metrics; 0 where the system tells none.
func openFiles(t *testing.T, web string) int {
	t.Helper()
	text, err := fetch(web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	m := openFds.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

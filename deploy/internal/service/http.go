package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/x/ringdht/health"
)

// Bounds of the server: open connections, and scrapes at once. A scrape of a large ring with its
// members allocates some 50 MB.
const (
	maxConns   = 256
	maxScrapes = 2
)

// Server serves /healthz, /readyz and /metrics, and what is added to Mux before Start.
type Server struct {
	Mux *http.ServeMux
	// TLS, if not nil, returns the configuration of TLS where other machines may reach the server.
	TLS     func() (*tls.Config, error)
	metrics *prometheus.Registry
	ready   atomic.Pointer[func() error]
	cancel  context.CancelFunc
	server  http.Server
	wg      sync.WaitGroup
}

// NewServer returns a server that is not ready and not started.
func NewServer() *Server {
	s := &Server{Mux: http.NewServeMux(), metrics: prometheus.NewRegistry()}
	s.Ready(func() error { return errors.New("it is starting") })
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	probes := health.Handler(func() error { return (*s.ready.Load())() })
	s.Mux.Handle("/healthz", probes)
	s.Mux.Handle("/readyz", probes)
	s.Mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: 10 * time.Second}))
	return s
}

// Ready makes /readyz report f from now on.
func (s *Server) Ready(f func() error) { s.ready.Store(&f) }

// Collect adds collectors to /metrics.
func (s *Server) Collect(c ...prometheus.Collector) { s.metrics.MustRegister(c...) }

// Start serves at an address until Close. It returns the address, with the port that was taken.
// An empty address is no server.
func (s *Server) Start(ctx context.Context, addr string) (at string, err error) {
	if addr == "" {
		return "", nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("-http (RINGDHT_HTTP): %w: another program may have the port, such as a second one of this machine: give each its own", err)
	}
	addr = l.Addr().String()
	if s.TLS != nil && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		config, err := s.TLS()
		if err != nil {
			l.Close()
			return "", err
		}
		l = tls.NewListener(health.Listener(l), config)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.server.Handler, s.server.BaseContext = s.Mux, func(net.Listener) context.Context { return base }
	s.server.ReadHeaderTimeout, s.server.IdleTimeout, s.server.MaxHeaderBytes = 10*time.Second, time.Minute, 16<<10
	s.server.ErrorLog = log.New(io.Discard, "", 0) // strangers write it: each failed handshake is a line
	health.Limit(&s.server, maxConns)
	s.wg.Go(func() { s.server.Serve(l) })
	return addr, nil
}

// Close ends the server and all its connections.
func (s *Server) Close() {
	if s.cancel != nil {
		s.cancel()
		s.server.Close()
		s.wg.Wait()
	}
}

// probe asks the program that serves at addr for a path, as an image without a shell must.
func probe(addr, path string, stdout io.Writer) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Usagef("-probe needs the address of the running program in -http or RINGDHT_HTTP")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	// The certificate is this machine's own, and nothing secret is asked.
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	at := net.JoinHostPort(host, port) + path
	resp, err := client.Get("https://" + at)
	if err != nil { // it speaks no TLS
		resp, err = client.Get("http://" + at)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	_, err = stdout.Write(text)
	return err
}

// Context ends at the first SIGINT or SIGTERM. A second one ends the process.
func Context() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

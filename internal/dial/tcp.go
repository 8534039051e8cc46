// Package dial is what nodes, registries and transports share about addresses and dials.
//
//   - address.go: the canonical form of an address.
//   - errors.go: what a dial's error says about the other side, and about this one.
//   - limiter.go: a limit on the dials under way.
//   - tcp.go: TCP to a name with several addresses.
package dial

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// A host name may have several addresses, and the first may be silent. A registry and its nodes
// have a few seconds for all of them, and a link has half a lease. That is less than package net
// would give the first of two addresses. So dialTCP tries all, each shortly after the one before,
// and takes the first that answers.

// maxAddrs is how many addresses of a name are tried, in the resolver's order.
const maxAddrs = 8

// attemptDelay is how long an address may be silent before the next one is tried as well. It is
// less if a deadline is near, so that each address is dialled in time for its answer.
const attemptDelay = 250 * time.Millisecond

// TCP connects to "host:port". A name's addresses are tried as [maxAddrs] and [attemptDelay] say.
func TCP(ctx context.Context, addr string) (net.Conn, error) {
	return dialTCP(ctx, addr, lookupIPs, func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	})
}

// dialTCP connects to "host:port". lookup finds the addresses of a name, and connect connects to
// one.
func dialTCP(ctx context.Context, addr string, lookup func(ctx context.Context, host string) ([]netip.Addr, error),
	connect func(ctx context.Context, addr string) (net.Conn, error)) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return connect(ctx, addr) // which says what is wrong
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return connect(ctx, addr)
	}
	ips, err := lookup(ctx, host)
	if err == nil && len(ips) == 0 {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	ips = interleave(ips)
	addrs := make([]string, min(len(ips), maxAddrs))
	for i := range addrs {
		addrs[i] = net.JoinHostPort(ips[i].String(), port)
	}
	return dialAny(ctx, addrs, connect)
}

// interleave orders addresses so that IPv4 and IPv6 alternate. If one of the two leads nowhere on
// this machine, the second address already shows it. Otherwise the order stays.
func interleave(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr // of the first address's family, and of the other
	for _, ip := range ips {
		ip = ip.Unmap()
		at := 0
		if ip.Is4() != ips[0].Unmap().Is4() {
			at = 1
		}
		families[at] = append(families[at], ip)
	}
	list := make([]netip.Addr, 0, len(ips))
	for i := range ips {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	return list
}

// dialAny connects to the first of the addresses that answers. It tries the next one when one has
// failed or has been silent for a while. When it returns, no attempt is under way.
func dialAny(ctx context.Context, addrs []string, connect func(ctx context.Context, addr string) (net.Conn, error)) (net.Conn, error) {
	delay := attemptDelay
	if deadline, ok := ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/time.Duration(len(addrs)+1))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type attempt struct {
		conn net.Conn
		err  error
	}
	done := make(chan attempt)
	next := time.NewTimer(0)
	defer next.Stop()
	var conn net.Conn
	var failed error
	for tried, ended := 0, 0; ended < tried || tried < len(addrs) && conn == nil && ctx.Err() == nil || tried == 0; {
		select {
		case <-next.C:
			if tried == len(addrs) || conn != nil {
				continue
			}
			addr := addrs[tried]
			tried++
			go func() {
				conn, err := connect(ctx, addr)
				done <- attempt{conn, err}
			}()
			next.Reset(delay)
		case a := <-done:
			ended++
			switch {
			case a.err != nil:
				failed = moreTelling(failed, a.err)
				next.Reset(0)
			case conn != nil: // two have answered at once
				a.conn.Close()
			default:
				conn = a.conn
				cancel() // of the others
			}
		}
	}
	if conn != nil {
		return conn, nil
	}
	return nil, failed
}

// moreTelling returns the one of two errors of dials to one host that says more. An address that
// this machine cannot dial at all says nothing. A refusal proves that no process listens, but only
// if no other address has been silent.
func moreTelling(a, b error) error {
	weight := func(err error) int {
		switch {
		case err == nil:
			return 0
		case anyOf(err, systemErrors.noRoute) || anyOf(err, systemErrors.noAddress) && !IsShortage(err):
			return 1
		case IsRefused(err):
			return 2
		}
		return 3
	}
	if weight(b) > weight(a) {
		return b
	}
	return a
}

// lookupIPs asks the system's resolver.
func lookupIPs(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

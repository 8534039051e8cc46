package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAddr bounds the address of a node, which others are told.
const maxAddr = 300

// maxHost is the longest host name that DNS has.
const maxHost = 253

// hostPort brings the address of a node into its one form, "host:port", or says why it is
// none. Two spellings of one IP address and port have the same form, so that a process
// cannot be two members by spelling. The form of a form is itself.
//
//   - An IP address is written as package netip writes it, and an IPv4 address as such
//     also where it came mapped into IPv6. A zone is kept, as it is spelled, where an address
//     is ambiguous without it, which is in the link-local ones; elsewhere systems ignore
//     zones, so it is refused.
//   - A name is in lower case and has no dot at its end. It stays a name, "localhost" too:
//     what it stands for may change, and differs between machines. So two names for one
//     machine, or a name and an address, are different here.
//   - A name that ends in a number is refused: some systems take "127.1", "0x7f000001" and
//     "2130706433" for the address 127.0.0.1.
//   - The port is a decimal number from 1 to 65535 without sign or leading zeros.
//   - An address that belongs to no single machine, unspecified or multicast, is refused.
func HostPort(addr string) (string, error) {
	host, port, err := SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// splitHostPort returns the parts of an address in its one form.
func SplitHostPort(addr string) (host, port string, err error) {
	if len(addr) > maxAddr { // of a name, a colon and a port
		return "", "", fmt.Errorf("the address has %d bytes, at most %d are allowed", len(addr), maxAddr)
	}
	if !Printable(addr) {
		return "", "", fmt.Errorf("the address %q has characters that cannot be printed", addr)
	}
	host, port, err = net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("the address %q is not host:port with both given", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("the address %q: the port must be a number from 1 to 65535, without sign or leading zeros", addr)
	}
	if host, err = canonicalHost(host); err != nil {
		return "", "", fmt.Errorf("the address %q: %w", addr, err)
	}
	if n := len(net.JoinHostPort(host, port)); n > maxAddr { // an IPv6 address with "::" may be longer in its one form
		return "", "", fmt.Errorf("the address %q has %d bytes in its canonical form, at most %d are allowed", addr, n, maxAddr)
	}
	return host, port, nil
}

// canonicalHost brings a host into its one form, see [hostPort].
func canonicalHost(host string) (string, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return canonicalName(host)
	}
	zone := ip.Zone() // which Unmap takes away
	ip = ip.Unmap()
	switch {
	case ip.IsUnspecified():
		return "", errors.New("it means all addresses of a machine, and peers cannot dial it: give one of them")
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", errors.New("it is the address of a group, and not of one machine")
	case zone != "" && !ip.IsLinkLocalUnicast():
		return "", errors.New("only a link-local address (fe80::) has a zone")
	}
	return ip.String(), nil
}

// canonicalName brings a host name into its one form. It lets through more than DNS does:
// underlines, which are in use, and letters beyond ASCII, which resolvers may take.
func canonicalName(name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if len(name) > maxHost {
		return "", fmt.Errorf("the host name has %d bytes, at most %d are allowed", len(name), maxHost)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		}) {
			return "", errors.New("the host is neither an IP address nor a name of letters, digits, hyphens and single dots")
		}
		last = label
	}
	hex, isHex := strings.CutPrefix(last, "0x")
	if strings.Trim(last, "0123456789") == "" || isHex && strings.Trim(hex, "0123456789abcdef") == "" {
		return "", errors.New("a host that ends in a number must be an IP address, four numbers without leading zeros")
	}
	return name, nil
}

// printable says that text can be shown to people as it is. Others are told what a node
// calls itself, in logs and on terminals, and an IPv6 zone may hold anything and be dialled.
func Printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// IsLoopback says that an address leads each machine to itself, so that no other machine
// can dial a node there.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

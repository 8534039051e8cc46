package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/x/ringdht/examples/internal/console"
)

// invitation is what a registry knows of itself, from which follow the commands that join its
// ring.
type invitation struct {
	join    string       // the command that joins, without the address
	at      *net.TCPAddr // where the registry listens
	outside string       // the host by which other machines may know this one, or empty
}

// lines returns the commands to type, on this machine and on others.
func (i *invitation) lines() (lines []string) {
	port := fmt.Sprint(i.at.Port)
	command := func(host string) string { return i.join + " " + net.JoinHostPort(host, port) }
	switch ip := i.at.IP; {
	case ip.IsLoopback():
		host := "localhost"
		if !ip.Equal(net.IPv4(127, 0, 0, 1)) {
			host = ip.String()
		}
		return []string{"To join, from this machine only: " + command(host)}
	case ip.IsUnspecified():
		lines = []string{"To join from this machine:  " + command("localhost")}
		if i.outside != "" {
			lines = append(lines, "To join from another one:   "+command(i.outside))
		}
		return lines
	default:
		return []string{"To join: " + command(ip.String())}
	}
}

// joinCommand returns the command that starts a messenger in a ring, without the registry's address.
func joinCommand(ring, codec string) string {
	return strings.Join(append([]string{messengerCommand(os.Args[0], exists)}, flagsToJoin(ring, codec)...), " ")
}

// flagsToJoin returns the flags that a node needs to join a ring: those that differ from the
// defaults.
func flagsToJoin(ring, codec string) (flags []string) {
	if ring != "ring" {
		flags = append(flags, "-ring", quoted(ring))
	}
	if codec != "msgpack" {
		flags = append(flags, "-codec", codec)
	}
	return flags
}

// quoted returns a word as it can be typed in a shell.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,", r))
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// messengerCommand returns the command that starts a messenger, for a program that was started as
// self: by go run, whose binary is in a temporary directory, or built. exists reports whether
// there is a file.
func messengerCommand(self string, exists func(path string) bool) string {
	name := "messenger"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if strings.Contains(filepath.ToSlash(self), "/go-build") {
		for _, dir := range []string{"examples/messenger", "../messenger"} {
			if exists(filepath.FromSlash(dir)) {
				if !strings.HasPrefix(dir, ".") {
					dir = "./" + dir
				}
				return "go run " + dir
			}
		}
		return "go run " + module() + "/examples/messenger@latest"
	}
	dir, file := filepath.Split(self)
	if file == self { // found by the shell in its path
		return "messenger"
	}
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "..", "messenger", name)} {
		if !exists(path) {
			continue
		}
		if !filepath.IsAbs(path) && !strings.HasPrefix(path, "..") {
			path = "." + string(filepath.Separator) + path
		}
		return quoted(filepath.ToSlash(path))
	}
	return "messenger"
}

// module returns the path of this module.
func module() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		return info.Main.Path
	}
	return "github.com/x/ringdht"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// outside returns the host by which other machines may reach this one: the address from which it
// would reach others, or that of an interface, or its name.
func outside() string {
	// Nothing is sent: this only asks which way datagrams would take. The address is for
	// documents (RFC 5737).
	if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		if ip := conn.LocalAddr().(*net.UDPAddr).IP; others(ip) {
			return ip.String()
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, want4 := range []bool{true, false} {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && others(n.IP) && (n.IP.To4() != nil) == want4 {
				return n.IP.String()
			}
		}
	}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		return name
	}
	return ""
}

// others reports whether others may reach an address.
func others(ip net.IP) bool { return ip.IsGlobalUnicast() && !ip.IsLoopback() }

// invite says how to join the ring of a registry, and what its security is.
func (o *operator) invite(screen *console.Screen, at net.Addr, s *settings) error {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return nil
	}
	i := invitation{joinCommand(s.ring, (*s.codec).Name()), tcp, ""}
	if tcp.IP.IsUnspecified() {
		i.outside = outside()
	}
	if !s.secure {
		for _, line := range i.lines() {
			screen.Say("%s", line)
		}
		if !tcp.IP.IsLoopback() {
			screen.Say("%s", openText)
		}
		return nil
	}
	o.join = o.secureJoin(i.join, i.address())
	line, err := o.join()
	if err != nil {
		return err
	}
	screen.Say("%s", joinText(line))
	return nil
}

// openText says what an open ring means.
const openText = "This ring is open: any process that reaches its ports can join it, read it and forge messages. -secure closes it."

// address returns the address by which nodes on any machine reach the registry, as far as this
// machine knows.
func (i *invitation) address() string {
	host := i.at.IP.String()
	switch {
	case i.at.IP.IsUnspecified() && i.outside != "":
		host = i.outside
	case i.at.IP.IsUnspecified() || i.at.IP.Equal(net.IPv4(127, 0, 0, 1)):
		host = "localhost"
	}
	return net.JoinHostPort(host, fmt.Sprint(i.at.Port))
}

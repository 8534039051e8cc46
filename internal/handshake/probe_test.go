package handshake

import "testing"

// The answer is that of PROTOCOL.md, so that nodes in other languages agree.
func TestProbeAnswer(t *testing.T) {
	for _, c := range []struct{ token, nonce, want uint64 }{
		{0, 0, 0xf375180aba928884},
		{0x0102030405060708, 0x1112131415161718, 0x44ba7646cbd346e6},
	} {
		if got := ProbeAnswer(c.token, c.nonce); got != c.want {
			t.Errorf("%#x %#x: %#x, want %#x", c.token, c.nonce, got, c.want)
		}
	}
	if one, other := ProbeNonce(), ProbeNonce(); one == other {
		t.Error("the same nonce twice")
	}
}

package channel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// by is the proxy for every address, which is a URL.
func by(proxy string) Proxy {
	return Proxy{For: func(string) (*url.URL, error) { return url.Parse(proxy) }}
}

// connectRequest reads a CONNECT request.
func connectRequest(w *world, nc net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReaderSize(nc, 16)) // as far as it goes: nothing may follow
	if err != nil || r.Method != http.MethodConnect {
		w.t.Errorf("the proxy got %v, %v", r, err)
		return &http.Request{}
	}
	return r
}

// forward passes octets on between two connections until one of them ends.
func forward(near, far net.Conn) {
	defer near.Close()
	defer far.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
	near.Close()
	<-over
}

// A proxy that makes no tunnel is named, with what it said; no other step is.
func TestProxyThatDoesNotConnect(t *testing.T) {
	answers := func(answer string) func(*world, net.Conn) {
		return func(w *world, nc net.Conn) {
			connectRequest(w, nc)
			_, _ = io.WriteString(nc, answer)
			silent(nil, nc)
		}
	}
	tests := []struct {
		name  string
		proxy string
		play  func(w *world, nc net.Conn)
		after time.Duration
		words []string
	}{
		{"refuses", "http://me:secret@proxy:3128", answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot today"), 0,
			[]string{"status 403 Forbidden", `"not today"`}},
		{"refuses and stalls", "http://proxy:3128", answers("HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nnot"), refusalTime,
			[]string{"status 503 Busy", `"not"`}},
		{"wants a password", "http://proxy:3128", answers("HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n"), 0,
			[]string{"status 407 Who Are You", "http://user:password@host:port"}},
		{"says too much", "http://proxy:3128", answers("HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n" + strings.Repeat("x", 9999)), 0,
			[]string{"status 500", `"` + strings.Repeat("x", maxRefusal) + `"`}},
		{"garbage", "http://proxy:3128", answers("SSH-2.0-OpenSSH\r\n\r\n"), 0,
			[]string{"no HTTP answer to CONNECT", "SSH-2.0-OpenSSH"}},
		{"endless header", "http://proxy:3128", answers("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxConnectAnswer)), 0,
			[]string{"no HTTP answer to CONNECT", "longer than 65536 octets"}},
		{"endless header line", "http://proxy:3128", answers("HTTP/1.1 200 " + strings.Repeat("x", 2*maxConnectAnswer)), 0,
			[]string{"no HTTP answer to CONNECT", "longer than 65536 octets"}},
		{"only informs", "http://proxy:3128", answers(strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 20)), 0,
			[]string{"informational"}},
		{"leaves", "http://proxy:3128", func(w *world, nc net.Conn) { connectRequest(w, nc); nc.Close() }, 0,
			[]string{"no HTTP answer to CONNECT", "EOF"}},
		{"hangs", "http://proxy:3128", func(_ *world, nc net.Conn) { silent(nil, nc) }, 5 * time.Second,
			[]string{"no HTTP answer to CONNECT", "connect timeout of 5s"}},
		{"no TLS", "https://proxy:3128", func(_ *world, nc net.Conn) {
			_, _ = io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n")
			silent(nil, nc)
		}, 0, []string{"no TLS with the proxy"}},
		{"SOCKS refuses", "socks5://proxy:3128", func(_ *world, nc net.Conn) {
			_, _ = io.ReadFull(nc, make([]byte, 3))
			_, _ = nc.Write([]byte{5, 0})
			_, _ = io.ReadFull(nc, make([]byte, 4+1+len("svc")+2))
			_, _ = nc.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
			silent(nil, nc)
		}, 0, []string{"the SOCKS5 proxy does not connect", "not allowed by ruleset"}},
		{"SOCKS wants a password", "socks5h://proxy:3128", func(_ *world, nc net.Conn) {
			_, _ = io.ReadFull(nc, make([]byte, 3))
			_, _ = nc.Write([]byte{5, 0xff})
			silent(nil, nc)
		}, 0, []string{"the SOCKS5 proxy does not connect", "authentication"}},
		{"SOCKS hangs", "socks5://proxy:3128", func(_ *world, nc net.Conn) { silent(nil, nc) }, 5 * time.Second,
			[]string{"the SOCKS5 proxy does not connect", "connect timeout of 5s"}},
		{"is none", "socks5://proxy:3128", func(w *world, nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 400\r\n\r\n"); silent(nil, nc) }, 0,
			[]string{"the SOCKS5 proxy does not connect", "version"}},
		{"is not there", "http://nobody:3128", nil, 0, []string{"the proxy is not reached", "refused"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "dns:///svc:443", func(_ *world, cfg *Config) {
				cfg.Proxy = by(tt.proxy)
				cfg.MinConnectTimeout = 5 * time.Second
				cfg.Backoff = backoff.Config{BaseDelay: 4 * time.Second} // no second attempt while the first is looked at
			}, func(t *testing.T, w *world) {
				if tt.play != nil {
					w.accept("proxy:3128", func(_ *host, nc net.Conn) { tt.play(w, nc) })
				}
				w.wantState(connectivity.Idle)
				elapsed(t, tt.after, func() {
					_, err := w.within(time.Hour, false)
					u, _ := url.Parse(tt.proxy)
					wantStatus(t, err, codes.Unavailable, append(tt.words, "cannot connect to svc:443 through the proxy "+u.Scheme+"://"+u.Host)...)
					if strings.Contains(err.Error(), "secret") {
						t.Errorf("the error tells the password: %v", err)
					}
					var ce *ConnectError
					if !errors.As(err, &ce) || ce.Proxy != u.Scheme+"://"+u.Host || ce.Address != "svc:443" {
						t.Errorf("the error is %#v", ce)
					}
				})
				w.wantLookups(0) // the proxy does that
			})
		})
	}
}

// What a proxy sends behind its answer is the server's, whatever length the answer
// says it has, and answers may come before the one that counts.
//
// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
// https://www.rfc-editor.org/rfc/rfc9110#section-15.2
func TestProxySendsAhead(t *testing.T) {
	tests := []struct{ name, answer string }{
		{"plain", "HTTP/1.1 200 Connection established\r\n\r\n"},
		{"a length that means nothing", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"},
		{"an encoding that means nothing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"informed first", "HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.0 204 Go\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var request *http.Request
			inWorld(t, "dns:///svc", func(_ *world, cfg *Config) {
				cfg.Proxy = by("http://me:pass%3Aword@proxy")
				cfg.Transport.UserAgent = "weir-test"
			}, func(t *testing.T, w *world) {
				w.serve("svc:443")
				w.accept("proxy:80", func(_ *host, nc net.Conn) {
					request = connectRequest(w, nc)
					far, err := w.net.Dial(context.Background(), request.Host)
					if err != nil {
						w.t.Error(err)
						return
					}
					early := make([]byte, 9) // of SETTINGS
					if _, err := io.ReadFull(far, early); err != nil {
						w.t.Error(err)
					}
					_, _ = io.WriteString(nc, tt.answer+string(early))
					forward(nc, far)
				})
				w.mustConnect()
				w.wantDials("0s proxy:80")
				w.ch.Close()
			})
			user, password, _ := (&http.Request{Header: http.Header{"Authorization": request.Header["Proxy-Authorization"]}}).BasicAuth()
			if request.Host != "svc:443" || user != "me" || password != "pass:word" || request.UserAgent() != "weir-test" {
				t.Errorf("the proxy got %v of %q, %q from %q", request.Host, user, password, request.UserAgent())
			}
		})
	}
}

// The proxy gets the name, or the addresses that it has if LocalDNS is set. The
// function is asked about the name in either case.
func TestProxyGetsNameOrAddress(t *testing.T) {
	for _, local := range []bool{false, true} {
		var asked, connected string
		inWorld(t, "dns:///svc", func(w *world, cfg *Config) {
			w.names(resolvesTo("10.0.0.1"))
			cfg.Proxy = Proxy{LocalDNS: local, For: func(address string) (*url.URL, error) {
				asked = address
				return url.Parse("http://proxy:3128")
			}}
		}, func(t *testing.T, w *world) {
			w.accept("proxy:3128", func(_ *host, nc net.Conn) { connected = connectRequest(w, nc).Host; nc.Close() })
			_, err := w.within(time.Hour, false)
			want, lookups := "svc:443", 0
			if local {
				want, lookups = "10.0.0.1:443", 1
			}
			wantStatus(t, err, codes.Unavailable, "cannot connect to "+want)
			w.wantLookups(lookups)
			if asked != "svc:443" || connected != want {
				t.Errorf("asked about %q and told %q, want svc:443 and %s", asked, connected, want)
			}
		})
	}
}

// A function that gives no usable proxy is at fault, and no connection is made.
func TestProxyFunctionFails(t *testing.T) {
	tests := []struct {
		name  string
		find  func(string) (*url.URL, error)
		words []string
	}{
		{"error", func(string) (*url.URL, error) { return nil, errBroken }, []string{"which proxy", errBroken.Error()}},
		{"scheme", func(string) (*url.URL, error) { return url.Parse("ftp://me:secret@proxy:21") }, []string{"ftp://me:xxxxx@proxy:21", "socks5h://"}},
		{"no host", func(string) (*url.URL, error) { return url.Parse("http://:80") }, []string{"http://:80"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "svc:1", func(_ *world, cfg *Config) { cfg.Proxy.For = tt.find }, func(t *testing.T, w *world) {
				_, err := w.within(time.Hour, false)
				wantStatus(t, err, codes.Unavailable, append(tt.words, "WithProxy", "WithNoProxy")...)
				w.wantDials()
				var ce *ConnectError
				if !errors.As(err, &ce) || !ce.Permanent {
					t.Errorf("the error is %#v", ce)
				}
			})
		})
	}
}

// Sockets of this machine have no proxy.
func TestProxyIsNotForUnix(t *testing.T) {
	inWorld(t, "unix:///run/a", func(_ *world, cfg *Config) { cfg.Proxy = by("http://proxy") }, func(t *testing.T, w *world) {
		w.serve("unix:///run/a")
		w.mustConnect()
		w.wantDials("0s unix:///run/a")
	})
}

func TestEnvironmentProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "")
	}
	if EnvironmentProxy() != nil {
		t.Error("there is a proxy that nobody named")
	}
	t.Setenv("HTTPS_PROXY", "proxy.test:3128")
	t.Setenv("NO_PROXY", "direct.test,10.0.0.0/8,.inner.test")
	find := EnvironmentProxy()
	for address, want := range map[string]string{
		"svc.test:443":     "http://proxy.test:3128",
		"svc.test:8080":    "http://proxy.test:3128",
		"direct.test:443":  "",
		"a.inner.test:443": "",
		"10.2.3.4:443":     "",
		"11.2.3.4:443":     "http://proxy.test:3128",
		"localhost:443":    "",
		"127.0.0.1:443":    "",
		"[::1]:443":        "",
	} {
		var got string
		u, err := find(address)
		if u != nil {
			got = u.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
}

// What makes connections whole makes them without a proxy, and gets addresses.
func TestProxyIsNotForTransports(t *testing.T) {
	var got string
	inWorld(t, "dns:///svc", func(w *world, cfg *Config) {
		w.names(resolvesTo("10.0.0.1"))
		cfg.Proxy = by("http://proxy")
		cfg.Connect = func(_ context.Context, address string, _ transport.ClientConfig) (transport.ClientTransport, error) {
			got = address
			return nil, errBroken
		}
	}, func(t *testing.T, w *world) {
		_, err := w.within(time.Hour, false)
		wantStatus(t, err, codes.Unavailable, errBroken.Error())
		if got != "10.0.0.1:443" {
			t.Errorf("it gets %q", got)
		}
	})
}

// With early calls the error comes later, and says as much.
func TestProxyAndEarlyCalls(t *testing.T) {
	inWorld(t, "dns:///svc", func(_ *world, cfg *Config) {
		cfg.Proxy = by("http://proxy")
		cfg.Transport.EarlyCalls = true
	}, func(t *testing.T, w *world) {
		w.accept("proxy:80", func(_ *host, nc net.Conn) {
			connectRequest(w, nc)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\nwhat is that, please?")
			silent(nil, nc)
		})
		w.ch.Connect()
		errs := w.wantMoves("IDLE>CONNECTING", "CONNECTING>READY", "READY>TRANSIENT_FAILURE")
		wantWords(t, errs[2], "no HTTP/2 connection with svc:443 through the proxy http://proxy")
	})
}

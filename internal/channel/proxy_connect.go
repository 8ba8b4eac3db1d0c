package channel

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxConnectAnswer bounds the header of a proxy's answer, in octets.
	maxConnectAnswer = 64 << 10
	// maxInformational bounds the answers that come before the one that counts.
	maxInformational = 8
	// maxRefusal is how much of what a proxy says beside a status goes into an
	// error, in octets, and refusalTime how long that may take.
	maxRefusal  = 256
	refusalTime = time.Second
)

// connectHTTP asks an HTTP proxy for a tunnel to address.
func connectHTTP(nc net.Conn, user *url.Userinfo, address, agent string) (net.Conn, error) {
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Host: address},
		Host:   address,
		Header: http.Header{"User-Agent": {agent}},
	}
	if user != nil {
		password, _ := user.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+basic)
	}
	if err := request.Write(nc); err != nil {
		return nil, fmt.Errorf("the proxy does not take the CONNECT request: %w", err)
	}
	limited := &io.LimitedReader{R: nc, N: maxConnectAnswer}
	r := bufio.NewReader(limited)
	answer, err := connectAnswer(r, request) //nolint:bodyclose // a tunnel has none, and a refusal ends the connection
	if err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("its header is longer than %d octets", maxConnectAnswer)
		}
		return nil, fmt.Errorf("the proxy has no HTTP answer to CONNECT: %w", err)
	}
	// "Any 2xx (Successful) response indicates that the sender (and all inbound
	// proxies) will switch to tunnel mode immediately after the response header
	// section"
	// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
	if answer.StatusCode/100 != 2 {
		return nil, refusal(nc, answer)
	}
	// "A client MUST ignore any Content-Length or Transfer-Encoding header fields
	// received in a successful response to CONNECT." So the body is left alone:
	// what is there is the tunnel's.
	// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
	if n := r.Buffered(); n > 0 {
		rest := make([]byte, n)
		_, _ = io.ReadFull(r, rest)
		return &ahead{Conn: nc, rest: rest}, nil
	}
	return nc, nil
}

// connectAnswer reads the answer to CONNECT.
//
// "A client MUST be able to parse one or more 1xx responses received prior to a
// final response, even if the client does not expect one."
// https://www.rfc-editor.org/rfc/rfc9110#section-15.2
func connectAnswer(r *bufio.Reader, request *http.Request) (*http.Response, error) {
	for range maxInformational {
		answer, err := http.ReadResponse(r, request)
		if err != nil {
			return nil, err
		}
		if answer.StatusCode/100 != 1 {
			return answer, nil
		}
	}
	return nil, errors.New("nothing but informational answers")
}

// refusal is the error of a proxy that makes no tunnel.
func refusal(nc net.Conn, answer *http.Response) error {
	_ = nc.SetReadDeadline(time.Now().Add(refusalTime)) // it is closed anyway
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	text := "the proxy answers CONNECT with status " + answer.Status
	if answer.StatusCode == http.StatusProxyAuthRequired {
		text += " (it wants a user name and a password, which its URL may have: http://user:password@host:port)"
	}
	if len(said) > 0 {
		text += fmt.Sprintf(", and says %q", said)
	}
	return errors.New(text)
}

// ahead is a connection from which more was read than was meant to be.
type ahead struct {
	net.Conn
	rest []byte
}

func (c *ahead) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

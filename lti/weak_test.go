//go:debug rsa1024min=0

package lti_test

// weakPEM is a 512-bit RSA key: crypto/rsa makes none so small. It protects nothing.
const weakPEM = `-----BEGIN RSA PRIVATE KEY-----
MIIBOwIBAAJBAMt9T9zkistVrO4Kepk51clvszjT+dEhu3PDdkaeBDTWc8ldz17k
THuo4Gv7pKDEXAYtwYixdn5TLhTJ8LEMEZECAwEAAQJAO9kYQwRomdMR8FTep/At
o3gZww39PHfqVOrY/338CLm/uEzJ5PFpm88XcXvT727b3swyf1br7tXulLMUfW4Q
PQIhAOpmor3F+bA8RcQQ9HVrUX8nRWBWkLABUlTlHh3SOs9TAiEA3j1+/oCN3zWy
F5tA6c9KXRTGwqlInberVjxpoF4WEwsCIEeFi7C2IMraiTsbJUxSs6pFtFCB+WIK
9TE8O+VDiXhLAiEApokCnwgKSBdeqx3mGM8C9JlbEAf2qGk39Vkz9b5LYF0CIQDp
PPbf5T7cW5PY2Tb/k9rgPbxOFy/TH4C7HC35VGa9JA==
-----END RSA PRIVATE KEY-----
`

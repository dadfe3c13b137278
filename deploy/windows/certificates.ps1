# Lists the certificate stores and the update policy of this computer for wulog.
#
#     powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File certificates.ps1 -OutFile C:\certificates.json
#
# The script writes JSON of schemas/json/certificates.schema.json: the stores TrustedPublisher, Disallowed, WSUS, CA, and
# Root without the roots of Microsoft's root program (AuthRoot). The script reads neither the store My nor private keys.
#
# The script uses only language that PowerShell 2.0 (Windows 7) and Constrained Language Mode allow: no modules, no
# New-Object, and methods of strings, times and hash tables only. Therefore the script builds JSON from strings, and
# leaves out the optional SHA-256 thumbprint, since only methods of other .NET types compute a hash.

param(
    [Parameter(Mandatory = $true)]
    [string]$OutFile
)

$ErrorActionPreference = 'Stop'
# A registry value that is missing reads as $null.
Set-StrictMode -Off

# Characters of a text; the reader keeps as many bytes of a name.
$TextMax = 512

# 1970-01-01 UTC in ticks of 100 ns.
$EpochTicks = 621355968000000000

# A JSON string in ASCII, so that the file is the same in each code page and has no byte order mark. Names in
# certificates may hold any UTF-16; half of a surrogate pair would make the whole file invalid and becomes U+FFFD.
function Format-Text($value) {
    $text = [string]$value
    if ($text.Length -gt $TextMax) { $text = $text.Substring(0, $TextMax) }
    $json = ''
    $high = ''
    foreach ($char in $text.ToCharArray()) {
        $code = [int]$char
        $escaped = '\u{0:x4}' -f $code
        if ($code -ge 0xDC00 -and $code -le 0xDFFF) {
            if ($high -ne '') { $json += $high + $escaped } else { $json += '\ufffd' }
            $high = ''
            continue
        }
        if ($high -ne '') { $json += '\ufffd' }
        $high = ''
        if ($code -ge 0xD800 -and $code -le 0xDBFF) {
            $high = $escaped
        } elseif ($code -lt 0x20 -or $code -gt 0x7E -or $code -eq 0x22 -or $code -eq 0x5C) {
            $json += $escaped
        } else {
            $json += [string]$char
        }
    }
    if ($high -ne '') { $json += '\ufffd' }
    return '"' + $json + '"'
}

# Milliseconds since 1970 UTC. The certificate's own times are local times.
function Format-Time($time) {
    $ticks = $time.ToUniversalTime().Ticks - $EpochTicks
    return [string][long](($ticks - ($ticks % 10000)) / 10000)
}

function Format-Bool($value) {
    if ($value) { return 'true' }
    return 'false'
}

# Who put a certificate into a store. Windows shows the three places in the registry as one store.
function Get-Origin($store, $thumbprint) {
    $places = @(
        @('group_policy', 'HKLM:\SOFTWARE\Policies\Microsoft\SystemCertificates'),
        @('enterprise', 'HKLM:\SOFTWARE\Microsoft\EnterpriseCertificates'),
        @('local', 'HKLM:\SOFTWARE\Microsoft\SystemCertificates')
    )
    foreach ($place in $places) {
        $key = $place[1] + '\' + $store + '\Certificates\' + $thumbprint
        if (Test-Path -LiteralPath $key -ErrorAction SilentlyContinue) { return $place[0] }
    }
}

# Whether a certificate may sign code; nothing where the certificate does not limit its usage.
function Get-CodeSigning($certificate) {
    foreach ($extension in $certificate.Extensions) {
        if ($extension.Oid.Value -eq '2.5.29.37') {
            # Code signing, or any usage.
            foreach ($usage in $extension.EnhancedKeyUsages) {
                if ($usage.Value -eq '1.3.6.1.5.5.7.3.3' -or $usage.Value -eq '2.5.29.37.0') { return $true }
            }
            return $false
        }
    }
}

function Format-Certificate($store, $certificate) {
    $thumbprint = $certificate.Thumbprint
    $fields = @(
        ('"sha1":' + (Format-Text ($thumbprint.ToLower()))),
        ('"subject":' + (Format-Text $certificate.Subject)),
        ('"issuer":' + (Format-Text $certificate.Issuer)),
        ('"serial":' + (Format-Text ($certificate.SerialNumber.ToLower()))),
        ('"not_before":' + (Format-Time $certificate.NotBefore)),
        ('"not_after":' + (Format-Time $certificate.NotAfter))
    )
    # Windows cannot decode each extension and each kind of public key. The certificate is listed without these fields.
    try {
        $signs = Get-CodeSigning $certificate
        if ($signs -ne $null) { $fields += '"code_signing":' + (Format-Bool $signs) }
    } catch { }
    try {
        $algorithm = $certificate.SignatureAlgorithm.Value
        if ($algorithm) { $fields += '"signature_algorithm":' + (Format-Text $algorithm) }
    } catch { }
    try {
        $bits = $certificate.PublicKey.Key.KeySize
        if ($bits -is [int] -and $bits -gt 0) { $fields += '"key_bits":' + [string]$bits }
    } catch { }
    $origin = Get-Origin $store $thumbprint
    if ($origin) { $fields += '"origin":"' + $origin + '"' }
    return '{' + ($fields -join ',') + '}'
}

# One store, without the certificates whose thumbprints are keys of $leftOut. A store that cannot be read gives the reason:
# wulog then never concludes that a certificate is missing.
function Format-Store($store, $leftOut) {
    $certificates = @()
    $reason = ''
    $failed = 0
    try {
        $found = @(Get-ChildItem -LiteralPath ('Cert:\LocalMachine\' + $store))
        foreach ($certificate in @($found | Sort-Object -Property Thumbprint -Unique)) {
            try {
                if ($leftOut.ContainsKey($certificate.Thumbprint)) { continue }
                $certificates += Format-Certificate $store $certificate
            } catch {
                $failed += 1
                $reason = [string]$failed + ' certificates cannot be read, the last one because of: ' + $_.Exception.Message
            }
        }
    } catch {
        $reason = 'the store cannot be read: ' + $_.Exception.Message
    }
    $json = '{"name":"' + $store + '","complete":' + (Format-Bool ($reason -eq ''))
    if ($reason -ne '') { $json += ',"error":' + (Format-Text $reason) }
    return $json + ',"certificates":[' + ($certificates -join ',') + ']}'
}

# Thumbprints of Microsoft's root program; none where the store cannot be read, so that Root is listed whole.
function Get-RootProgram {
    $program = @{}
    try {
        foreach ($certificate in @(Get-ChildItem -LiteralPath 'Cert:\LocalMachine\AuthRoot')) {
            $program[$certificate.Thumbprint] = $true
        }
    } catch {
        $program = @{}
    }
    return $program
}

# The values of a registry key; nothing where the key is missing.
function Get-Values($key) {
    if (Test-Path -LiteralPath $key) { return Get-ItemProperty -LiteralPath $key }
}

# The update policy. Windows reads a missing AcceptTrustedPublisherCerts as off.
function Format-Policy {
    $key = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate'
    $update = Get-Values $key
    $automatic = Get-Values ($key + '\AU')
    $fields = @('"accept_trusted_publisher_certs":' + (Format-Bool ($update.AcceptTrustedPublisherCerts -eq 1)))
    if ($update.WUServer) { $fields += '"wu_server":' + (Format-Text $update.WUServer) }
    if ($update.WUStatusServer) { $fields += '"wu_status_server":' + (Format-Text $update.WUStatusServer) }
    if ($automatic.UseWUServer -ne $null) { $fields += '"use_wu_server":' + (Format-Bool ($automatic.UseWUServer -eq 1)) }
    return '{' + ($fields -join ',') + '}'
}

try {
    $taken = Format-Time (Get-Date)
    $stores = @(
        (Format-Store 'TrustedPublisher' @{}),
        (Format-Store 'Disallowed' @{})
    )
    # Only WSUS machines have this store.
    if (Test-Path -LiteralPath 'Cert:\LocalMachine\WSUS') { $stores += Format-Store 'WSUS' @{} }
    $stores += Format-Store 'Root' (Get-RootProgram)
    $stores += Format-Store 'CA' @{}

    $json = '{"v":1,"taken":' + $taken + ',"stores":[' + ($stores -join ',') + ']'
    try {
        $json += ',"policy":' + (Format-Policy)
    } catch {
        # A policy that cannot be read is left out, which the schema defines as unknown.
        Write-Warning ('the update policy cannot be read: ' + $_.Exception.Message)
    }
    $json += '}'

    $folder = Split-Path -Path $OutFile -Parent
    if ($folder -and -not (Test-Path -LiteralPath $folder)) { New-Item -ItemType Directory -Path $folder -Force | Out-Null }
    # The collector never reads half a file: it ignores the first name.
    $partial = $OutFile + '.new'
    Set-Content -LiteralPath $partial -Value $json -Encoding ASCII
    Move-Item -LiteralPath $partial -Destination $OutFile -Force
} catch {
    # PowerShell 2.0 ends with code 0 after an error in a script; the scheduled task is to show the failure.
    Write-Error -Message ('cannot write ' + $OutFile + ': ' + $_.Exception.Message) -ErrorAction Continue
    exit 1
}

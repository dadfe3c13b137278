//! Lines in the shape of real logs; each line shows its meaning.

use proptest::prelude::*;

use super::*;

#[test]
fn every_spelling() {
    let cases = [
        // 0x, in either case
        ("WARNING: WinHttp: failed with error 0x8024402c", 0x8024_402C),
        ("  * WARNING: Exit code = 0x8024402C", 0x8024_402C),
        ("WARNING: Result code = 0x8024402C", 0x8024_402C),
        ("Return code = 0x80070643", 0x8007_0643),
        ("Send request 0X80072EE2", 0x8007_2EE2),
        ("WARNING: PTError: 0x8024400e", 0x8024_400E),
        ("FATAL: UH: 0x80070057: EvaluateApplicability failed", 0x8007_0057),
        ("FATAL: CBS called Error with 0x800736b3, ", 0x8007_36B3),
        ("Error 0x80244019 occurred while downloading update; notifying dependent calls.", 0x8024_4019),
        ("WARNING: BITS job {C1F0A9B6-5F0D-4F8B-8B24-B0271DEEBABB} failed, hr = 0x80072ee2", 0x8007_2EE2),
        (
            "WARNING: Error: 0x800b0109 when verifying trust for C:\\a\\25cd5f57efc246cf2e8f6d2ec4cbf2d7b4e48f45",
            0x800B_0109,
        ),
        ("Digital Signatures on file C:\\x.cab are not trusted: Error 0x800b0109", 0x800B_0109),
        ("Update download failed, hresult=0x80246007", 0x8024_6007),
        ("HRESULT: 0x80246007", 0x8024_6007),
        ("WARNING: error: 0x80246007", 0x8024_6007),
        ("Send request failed, hr:0x80072f8f", 0x8007_2F8F),
        ("Got extended error: \"0x80072efd\"", 0x8007_2EFD),
        ("MakeRequest failed. error 0x80190194", 0x8019_0194),
        ("Feature update failed: 0xC1900101", 0xC190_0101),
        ("DataStore: Failed to open database 0xc80003fa", 0xC800_03FA),
        (
            "WER Report sent: 7.5.7601.17514 0x800b0109 8468427E-6555-E8D9-5360-9CBC1D52A0BB Download 101 Managed",
            0x800B_0109,
        ),
        ("0x80072efe -2147012866 WININET_E_CONNECTION_ABORTED", 0x8007_2EFE),
        // bare
        (
            "WARNING: Failed to evaluate Installed rule, updateId = {52FDB3D3-CC8E-381F-3FBC-EAB3FEBF5F9D}.202, hr = 80070057",
            0x8007_0057,
        ),
        ("WARNING: Unable to trigger Automatic Updates to detect now, hr=8024A000", 0x8024_A000),
        ("WARNING: UpdateNow for accelerated install failed with hr:80070005", 0x8007_0005),
        ("WARNING: File failed postprocessing, error = 800b0109", 0x800B_0109),
        ("WARNING: Send failed with hr = 80072ee2.", 0x8007_2EE2),
        ("DownloadJob failed with code 80244019", 0x8024_4019),
        ("Search failed (hr=80240007)", 0x8024_0007),
        ("WARNING: the error is 800b0109", 0x800B_0109),
        ("hrInstall=80070643", 0x8007_0643),
        ("ExtendedError=80072EE2", 0x8007_2EE2),
        ("ResultCode=4, HResult=-2145124318", 0x8024_0022),
        // alone in brackets
        ("*FAILED* [80072F8F] Send request", 0x8007_2F8F),
        ("FAILED [80072EFE] Send request", 0x8007_2EFE),
        ("*FAILED* [0x8024001e] file = onecore\\a.cpp, line = 12", 0x8024_001E),
        ("Download of the file did not complete (80072ee7)", 0x8007_2EE7),
        // decimal
        ("<Win32HResult>-2145107943</Win32HResult>", 0x8024_4019),
        ("scan ended: -2145107943", 0x8024_4019),
        (
            "File cert verification failed for e:\\8CDE4C473E1386615381157EB67C80E355D196E9.exe with 2148204800",
            0x800B_0100,
        ),
        ("error 2149842970", 0x8024_001A),
        ("Error code -939523070 was returned", 0xC800_0402),
        ("CBS install failed, resultMapped=8024200B, resultUnMapped=800B0109", 0x800B_0109),
        ("Exit Code: 0x80246008, Extended Code: 0x80070422", 0x8024_6008),
        ("Extended Code: 80070422", 0x8007_0422),
        // of Configuration Manager
        (
            "Failed to Add Update Source for WUAgent of type (2) and id ({5F9C2B27-2D22-4E6A-A0D8-3A4C81E21D4E}). Error = 0x87d00692.",
            0x87D0_0692,
        ),
        ("Scan failed with error = -2016410222", 0x87D0_0592),
        ("Scan failed with error = 2278557330", 0x87D0_0692),
        ("Unable to read existing resultant WUA policy. Error = 0x8DB20002", 0x8DB2_0002),
        ("Download paused, hr = 80d05011, reason = 800b0109", 0x800B_0109),
        ("Failed to sign package; error was: 2149122451", 0x8019_0193),
        // Among failures without a code of trust the first one decides, whatever other text the line has.
        ("Exit code = 0x00000000, Result code = 0x8024402C", 0x8024_402C),
        ("hr=0x0 then hr=0x240001 then hr=0x80240022 then hr=0x80070005", 0x8024_0022),
        (
            "WARNING: error = 0x8024400E, soap client error = 7, soap error code = 400, HTTP status code = 200",
            0x8024_400E,
        ),
        ("WARNING: SOAP client error = 7, HTTP status code = 407, hr = 0x80244019", 0x8024_4019),
        ("pwszUrl 0x00007FF8A1B2C3D4 failed with 0x80070057", 0x8007_0057),
    ];
    for (text, expect) in cases {
        assert_eq!(find_hresult(text), Some(expect), "{text}");
    }
}

#[test]
fn a_part_of_a_name_is_not_a_code() {
    for text in [
        "Url = https://support.contoso.example/kb?error=0x800B0109",
        "Got URL <https://support.contoso.example/0x800b0109/fix?hr=80070005>",
        r"Validating signature for C:\Windows\SoftwareDistribution\Download\0x800b0109\fix.cab:",
        r"Validating signature for C:\Updates\Fix for error 0x800B0109 (x64)\setup.exe",
        "Downloading fix-0x800b0109-x64.cab",
        "Downloading Fix_for_error 0x800B0109.msu to the cache",
    ] {
        assert_eq!(find_hresult(text), None, "{text}");
    }
    for (text, expect) in [
        ("https://w:8531/a.cab failed, hr=0x80072ee2", 0x8007_2EE2),
        ("Send request to <https://w:8531/x?error=0x800B0109> failed: 0x80072ee2", 0x8007_2EE2),
        (r"C:\Windows\x.cab failed with 0x800b0109 (onecore\base\x.cpp:12)", 0x800B_0109),
        (r"WARNING: Error: 0x800b0109 when verifying trust for C:\a b\c.cab", 0x800B_0109),
        (r"C:\a\b.log: error 0x800b0109 from \\server\share", 0x800B_0109),
        ("It failed with 0x800b0109.", 0x800B_0109),
        ("It failed with 0x800b0109.Retrying", 0x800B_0109),
    ] {
        assert_eq!(find_hresult(text), Some(expect), "{text}");
    }
}

#[test]
fn zero_behind_the_word_error_is_a_success() {
    assert_eq!(find_hresult("Install call completed, reboot required = No, error = 0x00000000"), Some(0));
    assert_eq!(find_hresult("flags = 0x00000000"), None);
    assert_eq!(find_hresult("error = 0x00000007"), None);
}

#[test]
fn all_codes_of_a_line_are_listed_once_in_their_order() {
    let cases: [(&str, &[u32]); 6] = [
        ("Exit Code: 0x80246008, Extended Code: 0x80070422", &[0x8024_6008, 0x8007_0422]),
        ("resultMapped=8024200B resultUnMapped=800B0109 hr=0x8024200b", &[0x8024_200B, 0x800B_0109]),
        ("Exit code = 0x00000000; Call error code = 0x80240022", &[0x8024_0022]),
        ("hr = 80d05011, jobId = 3a2e1997-7b9f-4cb4-93e7-a7c19bf06c11, reason = 800b0109", &[0x80D0_5011, 0x800B_0109]),
        ("Exit code = 0x240001", &[0x0024_0001]),
        ("Exit code = 0x00000000", &[]),
    ];
    for (text, expect) in cases {
        assert_eq!(find_hresults(text).all().collect::<Vec<_>>(), expect, "{text}");
    }
}

#[test]
fn success_that_the_line_calls_a_result() {
    let cases = [
        ("** END ** Service: Service exit [Exit code = 0x240001]", 0x0024_0001),
        ("completed with hr=0x0 and pfResetSandbox=0", 0),
        ("Return code = 0x00000000, Result = Succeeded, Reboot required = false", 0),
        ("Exit code = 0x0", 0),
        ("ReturnCode: 0x00000000", 0),
        ("hr = 00000000", 0),
        ("hr = 0", 0),
        ("Exit code = 0", 0),
        ("HRESULT: 0x0", 0),
        ("Install result: 0x00000000", 0),
        ("hr = 0x00240005", 0x0024_0005),
        ("hr=00240005", 0x0024_0005),
        ("hr = 0x1", 1),
        // A success code other than zero decides.
        ("Exit code = 0x00000000, Result code = 0x00240005", 0x0024_0005),
    ];
    for (text, expect) in cases {
        assert_eq!(find_hresult(text), Some(expect), "{text}");
    }
}

#[test]
fn no_false_hits() {
    let cases = [
        "",
        "0",
        "0x",
        // GUIDs and hashes
        "GUID=8b24b027-1dee-babb-9a95-3517dfb9c552 (No Format Information found).",
        "error {8B24B027-1DEE-BABB-9A95-3517DFB9C552}",
        "error 8B24B027-1DEE-BABB-9A95-3517DFB9C552",
        "Failed service 855E8A7C-ECB4-4CA3-B045-1DFA50104289 redir",
        "error 818701AF-0D4A-4D8B-9C1C-80240022AAAA",
        "error 8b24b027-1dee-babb-9a95-3517dfb9c5520x80070005",
        "error 93efa2cc8b767c64aaf22ca7ec8fdd73cf8e5b9c",
        "hash with 80070005800700058007000580070005",
        "error 8007000580070005800700058007000580070005800700058007000580070005",
        "file C:\\WINDOWS\\SoftwareDistribution\\Download\\80070005\\x.cab",
        // flags, masks, pointers, identifiers, counts
        "Validating signature for C:\\wuident.cab with dwProvFlags 0x00000080:",
        "Validating signature for C:\\wuident.cab with dwProvFlags 0x80000080:",
        "Flags = 0x80000000",
        "0x80 flags",
        "opened with 0x80070005 flags",
        "mask = 0x80070000, dwAttributes: 0x80240022",
        "session object 0x00007FF880070005 released",
        "this = 0x8C3F1010",
        "SessionId = 0x80240022, ThreadId: 0x80240023",
        "Downloaded 2148204800 bytes",
        "Sent with 2148204800 bytes",
        "ranges 1000-2145107943",
        "finished with 80070005 bytes",
        // codes that are cut off at the end of a line
        "Exit code = 0x8024402",
        "Exit code = 0x8",
        "hr = 0xC800022",
        "failed, hr = 800b01",
        // other numbers
        "soap client error = 7, soap error code = 400, HTTP status code = 200",
        "SOAP client error = 7",
        "soap error code = 0, HTTP status code = 0, status 0",
        "soap error code = 0x190, HTTP status code = 0x197",
        "HTTP status code = 407",
        "CWERReporter finishing event handling. (00000000)",
        "WER report upload completed with status 0x8",
        "completed with status 0x0",
        "resultUnMapped=FFFE",
        "  * OS Product Type = 0x00000003",
        "  * Locale ID = 1031",
        "language code = 0x409",
        "WU client version 7.5.7601.17514",
        "error 20201124",
        "2020-11-24 17:04:14:123 952 5b4",
        "KB4493473 8024402",
        // text that is not ASCII, or broken
        "Télé 80\u{fffd}24402c é",
        "０x80070005",
    ];
    for text in cases {
        assert_eq!(find_hresult(text), None, "{text}");
    }
}

#[test]
fn columns() {
    let cases = [
        ("800b0109", Some(0x800B_0109)),
        ("0x800B0109", Some(0x800B_0109)),
        ("0", Some(0)),
        ("0x0", Some(0)),
        ("00000000", Some(0)),
        ("[80072F8F]", Some(0x8007_2F8F)),
        ("(80072ee7)", Some(0x8007_2EE7)),
        ("-2146762487", Some(0x800B_0109)),
        ("2148204809", Some(0x800B_0109)),
        ("240005", Some(0x0024_0005)),
        ("wusa", None),
        ("", None),
        ("-", None),
        ("0x", None),
        ("-1-", None),
        ("-9999999999", None),
        ("9999999999", None),
        ("0x00007FF880070005", None),
    ];
    for (token, expect) in cases {
        assert_eq!(parse_hresult(token), expect, "{token}");
    }
}

/// Every spelling of a failure code, each with its cue word.
fn spellings(code: u32) -> [String; 11] {
    [
        format!("0x{code:08x}"),
        format!("0x{code:08X}"),
        format!("hr = {code:08x}"),
        format!("hr={code:08X}"),
        format!("hr:{code:08x}"),
        format!("error = {code:08x}"),
        format!("(hr={code:08x})"),
        format!("[{code:08X}]"),
        format!("({code:08x})"),
        format!("{}", code.cast_signed()),
        format!("with {code}"),
    ]
}

#[test]
fn the_first_digit_of_eight_bytes() {
    for byte in 0..=u8::MAX {
        for at in 0..8 {
            for other in [0x00, b'/', b':', b'x', 0x7f, 0x80, 0xb0, 0xff] {
                let mut bytes = [other; 8];
                bytes[at] = byte;
                bytes[7] = if at < 7 { b'9' } else { byte };
                let expect = bytes.iter().position(u8::is_ascii_digit);
                assert_eq!(first_digit(u64::from_le_bytes(bytes)), expect, "{bytes:02x?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), token in "[-\\[(]?(0x)?[0-9a-fA-F]{0,40}[\\])]?") {
        let _ = find_hresult(&text);
        let _ = parse_hresult(&text);
        let _ = find_hresult(&token);
        let _ = parse_hresult(&token);
    }

    /// Words without a digit cannot hide a code or add one.
    #[test]
    fn every_known_failure_is_found_in_any_spelling_in_any_text(
        at in any::<prop::sample::Index>(),
        before in "([A-Za-z*]{1,9}[,.;] ){0,9}",
        after in "([,.;] [A-Za-z]{1,9}){0,9}",
    ) {
        let failures: Vec<u32> =
            crate::hresult::entries().iter().map(|entry| entry.code).filter(|code| is_failure(*code)).collect();
        let code = *at.get(&failures);
        for spelling in spellings(code) {
            let text = format!("{before}{spelling}{after}");
            prop_assert_eq!(find_hresult(&text), Some(code), "{}", text);
        }
    }

    #[test]
    fn a_guid_is_not_a_code(
        id in "[89a-f][0-9a-f]{7}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        cue in "(hr = |error |with |)",
    ) {
        for text in [format!("{cue}{id}"), format!("{cue}{{{id}}}"), format!("{cue}{}", id.replace('-', ""))] {
            prop_assert_eq!(find_hresult(&text), None, "{}", text);
        }
    }
}

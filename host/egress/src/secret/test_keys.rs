//! An RSA key for tests, made for them and used nowhere else. It is kept without the PEM lines around it, so that tools
//! which look for leaked keys stay quiet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// PKCS#1, DER, in base64.
const DER: &str = "\
    MIIEpAIBAAKCAQEAuT/vxO2P/vJYASjJV3527M7919WfIF1SpbXQe5lIehqSefm63vbQxC8IcjKorUAR4Vr1XTmlGs1ZABLYtoVV\
    Z6SKzrqq1OQpjfEmijFG5gXR8ZCuV0/idiiXdNnQDia2ZyiuyYkRSfhdTq5txa+tBm2VHPrf9LV8b2QbW4TJ9GY6H5PybvfeT5X1\
    HGx8vDGo9BG+0asRpb58pVa+CS7lcD9QFrQQ04SNsNbKkmwTmKSRMC9AOu/C1R6r3s+aoHM67R9/uuazZWozFXUyUkIOQzPtxQK5\
    f+B3UVFQ7rTP6885DgXT9own6KsDn5dOZLV70IPOEQsJdcku8MbfWvii4wIDAQABAoIBAAzOudIApqr2sFTsL/dnm+tFaFFqyISh\
    Txx71H0nHNasTaI3PM87ezWFFu1mSTkpK9NLyZj3ak3PEq8pnmgIEd6Hhr1CNJthZuoUWRjGzWML1fcAjL0mnb6Tkd0XTgYccRHy\
    wxrV6icWD8Vn09kOC0VdgCivw5oUjhTZc/bA2IGYDZFT5cNIzZZkwvd6SPPzOq0gpdYkFSTyAFoNjm2OB5J0+rGOxQk6ILiBAcNF\
    i/ROg9CUAdmPPPAq5MiuWP+pgiroZFXriELGlb9JbeokRIwqdNgW6ldzTUUjvpNB2g6Ig4gmcrYOhkLAVkJoPs1tZlA5vhoJpVos\
    cf10cE93lwECgYEA6Izr9KBO3RE94SLVfbUFi4+mkRRv2oi+ev6SnuSZnGdtA1oIqvxyBLrymYBWC4x6MiCUOj+ZNDuWM6auEn5y\
    1ZTwcItYrLVyVA64kC0udBOeWX30ZzkoRynYyf+eGhLYV4vWZbyalwlGiavb/jJXeQRmkQ13vDpd8TA9ecW0x2MCgYEAy+39ae/2\
    h5awl7f6wBL4cFBJVl/XiKQGqBistCBR37+CoHBs4Cl/BG7fX8e3Cu/yFz6fk15SEMCHANwHcm+3aG2tt8Ndiggdzzax8Y0VCEd7\
    wh/b18OpD94wnn6EajqtM58dPtnhgIdVDSXubwHvgyEWKEp/KnBB7kNAsetgToECgYEA3w4UYP7Gxjp8fQ7ZcgsI95Vg8jWFGDsj\
    YXv/DNM+GAwIPzfDqqYbgzgB7IRxhABJUP14z+oivDwPVRmiS/Dnmr+SZJD0DCy6LbA1DW2Y6hPLRhGPNNdZL/EOlKpPbrj2s/pY\
    OhtOuGJYO0MR719AEb7L1oPxfiUJ6IcZ4ExnmvsCgYBC1rYASs4akqE+mOZunckfxrDCxpb2CgzEe5HfV9h95V8DBtYognFHGq/L\
    zMGJrCtEwxm6S2fKZc/Z0EQAle0fJROS701xOEfM6rhX203RcNx3O8nqZg67TK/SwtTTnHe4O6ZyOydV4QVXUd9cMt41tFp2yjPz\
    zOdPGGvT5LmkAQKBgQCpNg8ANBgOEy667QvY39hioaWgUMN9Zs1SDbhcVpY6uShvhVawBscsccVm858X90jKSPgQGi6JSsagUEMr\
    FolxmRv/1cMxtDN1H01ZRCExBOycwMhzmHRkSoL9wWzxoe+01vKEe3RCHpekIVxPNKyYRriv3AF56Wudn5n2hPVU1g==\
";

/// `BEGIN RSA PRIVATE KEY`, as GitHub gives it.
pub(crate) fn pkcs1_pem() -> String {
    pem("RSA PRIVATE KEY", DER)
}

/// `BEGIN PRIVATE KEY`.
pub(crate) fn pkcs8_pem() -> String {
    let der = STANDARD.decode(DER).unwrap();
    let long = |tag: u8, inner: &[u8]| {
        let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length, inner].concat()
    };
    // INTEGER 0, then SEQUENCE { rsaEncryption, NULL }.
    let head = hex::decode("020100300d06092a864886f70d0101010500").unwrap();
    let all = long(0x30, &[head, long(0x04, &der)].concat());
    pem("PRIVATE KEY", &STANDARD.encode(all))
}

fn pem(label: &str, base64: &str) -> String {
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
